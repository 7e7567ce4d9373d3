// The backend part of `plugin check`: the probe, a pure plan and, where the machine can, the whole life of one bottle
// with the real sidecar. What comes out of the bottle is made by this suite, not by an agent.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "core/base/file.hpp"
#include "core/base/random.hpp"
#include "core/base/text.hpp"
#include "core/plugins/check.hpp"

namespace bot_bottle::plugins {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct Pipe {
  UniqueFd read;
  UniqueFd write;
  Pipe() {
    int ends[2] = {-1, -1};
    if (::pipe(ends) != 0) throw Failure(error_from_errno("cannot make a pipe", errno));
    for (const int fd : ends) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
};

/// Everything below a directory, with sizes: what a pure function may not change.
std::vector<std::string> listing(const fs::path& root) {
  std::vector<std::string> out;
  std::error_code code;
  for (fs::recursive_directory_iterator it(root, code), end; !code && it != end; it.increment(code)) {
    std::error_code ignored;
    out.push_back(it->path().string() + " " +
                  (it->is_regular_file(ignored) ? std::to_string(it->file_size(ignored)) : "-"));
  }
  std::ranges::sort(out);
  return out;
}

/// The bottle under test and what is known about it.
class Life {
 public:
  Life(CheckContext& context, Backend& backend)
      : context_(context),
        backend_(backend),
        name_("backend:" + backend.name()),
        slug_("check-" + random_base36(8)),
        state_(context.options.home.state_of(slug_)) {
    for (const char* part : {"egress", "wire", "control", "logs", "provision"})
      or_throw(make_directories(state_ / part));
    or_throw(make_directories(scratch() / "workspace"));
    or_throw(write_file_fast(scratch() / "workspace" / "given.txt", "given\n", 0644));
    or_throw(write_file_fast(state_ / "egress" / "routes.toml", ""));
  }
  ~Life() { static_cast<void>(remove_tree(state_)); }
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;

  bool plan() {
    const json::object spec = make_spec();
    const bool valid = check("plan fits its schema", [&]() -> std::string {
      const auto before = listing(state_);
      plan_ = backend_.plan(spec);
      if (auto problems = schema_problems(context_.schemas, plan_, "bot-bottle.plan/1"); !problems.empty())
        return problems;
      if (listing(state_) != before) return "plan wrote into the state directory";
      if (backend_.plan(spec) != plan_) return "the same spec gives two plans";
      if (get_string(plan_, "slug") != slug_) return "the plan is for another slug";
      if (get_strings(plan_, "summary").empty()) return "the plan has no summary for the operator";
      return leaked_secrets(context_, plan_);
    });
    if (!valid) return false;
    check("plan ignores unknown fields", [&]() -> std::string {
      json::object more = spec;
      more["a_field_of_the_future"] = 1;
      return backend_.plan(more) == plan_ ? "" : "the plan changed";
    });
    check("removing what never was is success", [&] { return backend_.remove(plan_), std::string(); });
    return true;
  }

  void run() {
    const bool is_up = check("sidecar and bottle start", [&] { return launch(), std::string(); });
    if (is_up) use();
    std::optional<json::object> snapshot;
    if (is_up && context_.freezer != nullptr) {
      static_cast<void>(shell("echo frozen > kept.txt; echo frozen > /home/agent/kept.txt"));
      snapshot = check_freeze(context_, *context_.freezer, bottle_);
      check("a frozen bottle goes on", [&] { return expect(exec({"true"}), 0, ""); });
    }
    check("stop, twice", [&]() -> std::string {
      if (!is_up) return {};
      backend_.stop(bottle_);
      backend_.stop(bottle_);
      return exec_fails() ? "" : "a program still runs after stop";
    });
    check("remove, twice", [&]() -> std::string {
      backend_.remove(is_up ? bottle_ : plan_);
      backend_.remove(is_up ? bottle_ : plan_);
      return enumerated() ? "the bottle is still listed" : "";
    });
    if (snapshot) start_from(*snapshot);
  }

 private:
  void start_from(const json::object& snapshot) {
    check("a bottle starts from a snapshot", [&]() -> std::string {
      for (const char* part : {"wire", "control"}) {
        or_throw(remove_tree(state_ / part));
        or_throw(make_directories(state_ / part));
      }
      json::object spec = make_spec();
      spec["snapshot"] = snapshot;
      plan_ = backend_.plan(spec);
      launch();
      return expect(shell("cat kept.txt /home/agent/kept.txt given.txt"), 0, "frozen\nfrozen\ngiven\n");
    });
    check("stop and remove it", [&] { return backend_.stop(bottle_), backend_.remove(bottle_), std::string(); });
    check_thaw(context_, *context_.freezer, snapshot);
  }

  bool check(const std::string& what, const std::function<std::string()>& body) {
    return context_.checker.check(name_ + ": " + what, body);
  }
  [[nodiscard]] fs::path scratch() const { return state_ / "provision" / "check"; }

  [[nodiscard]] json::object make_spec() const {
    return {{"schema", "bot-bottle.spec/1"},
            {"slug", slug_},
            {"agent", "check"},
            {"label", ""},
            {"version", "0"},
            {"state_dir", state_.string()},
            {"detached", false},
            {"program", "sh"},
            {"search_path", "/usr/bin:/bin"},
            {"bind_ro", json::array{}},
            {"rootfs", ""},
            {"guest", json::object{{"user", "agent"}, {"uid", 1000}, {"gid", 1000}, {"home", "/home/agent"}}},
            {"workspace",
             json::object{{"mode", "copy"}, {"source", (scratch() / "workspace").string()}, {"path", "/workspace"}}},
            {"resources", json::object{}},
            {"image", json::object{{"dockerfile", ""}}},
            {"endpoints", json::array{"egress"}},
            {"reuse", false}};
  }

  void launch() {
    try {
      backend_.build(plan_);
    } catch (const Failure& failure) {
      if (failure.error().kind != ErrorKind::unsupported) throw;
    }
    Pipe config;
    const json::object sidecar = backend_.start_sidecar(plan_, config.read.get(), lifeline_.read.get());
    if (auto problems = schema_problems(context_.schemas, sidecar, "bot-bottle.sidecar/1"); !problems.empty()) {
      throw Failure(make_error(ErrorKind::internal, "start_sidecar: " + problems));
    }
    config.read.reset();
    json::array peers{static_cast<std::int64_t>(::getuid())};
    if (const json::array* more = find_array(plan_, "control_peer_uids"))
      peers.insert(peers.end(), more->begin(), more->end());
    const json::object document{{"schema", "bot-bottle.sidecar-config/1"},
                                {"slug", slug_},
                                {"log_level", 1},
                                {"control_peer_uids", peers},
                                {"egress", json::object{{"routes", json::array{}}, {"hosts", json::object{}}}},
                                {"secrets", json::array{}},
                                {"placeholders", json::array{}},
                                {"disabled_guards", json::array{}}};
    or_throw(write_all(config.write.get(), to_text(document)));
    config.write.reset();
    bottle_ = backend_.launch(
        plan_, {{"schema", "bot-bottle.launch/1"}, {"ca_pem", wait_for_ca(get_string(sidecar, "control"))}},
        lifeline_.read.get());
    if (auto problems = schema_problems(context_.schemas, bottle_, "bot-bottle.bottle/1"); !problems.empty()) {
      throw Failure(make_error(ErrorKind::internal, "launch: " + problems));
    }
  }

  static std::string wait_for_ca(const std::string& socket) {
    const auto deadline = Clock::now() + std::chrono::seconds(30);
    for (int pause_ms = 10; Clock::now() < deadline; pause_ms = std::min(pause_ms * 2, 250)) {
      if (const auto status = control_call(socket, "status"); status && get_bool(*status, "ready", false))
        return get_string(*status, "ca_pem");
      ::poll(nullptr, 0, pause_ms);
    }
    throw Failure(make_error(ErrorKind::timeout, "the sidecar's control channel is not ready after 30 s"));
  }

  static json::object request(std::vector<std::string> argv) {
    return {{"schema", "bot-bottle.exec/1"},
            {"argv", to_array(argv)},
            {"env", json::object{{"PATH", "/usr/bin:/bin"}, {"CHECKED", "yes"}}},
            {"cwd", "/workspace"},
            {"user", "agent"},
            {"tty", false},
            {"rows", 24},
            {"columns", 80},
            {"timeout_ms", 20'000},
            {"max_output", 65'536}};
  }
  json::object exec(std::vector<std::string> argv, int stdin_fd = -1) {
    json::object result = backend_.exec(bottle_, request(std::move(argv)), stdin_fd);
    if (auto problems = schema_problems(context_.schemas, result, "bot-bottle.exec-result/1"); !problems.empty()) {
      throw Failure(make_error(ErrorKind::internal, "exec: " + problems));
    }
    return result;
  }
  json::object shell(const std::string& script, int stdin_fd = -1) { return exec({"sh", "-c", script}, stdin_fd); }
  static std::string expect(const json::object& result, int code, std::string_view out, std::string_view err = {}) {
    const json::object wanted{{"code", code}, {"stdout", out}, {"stderr", err}};
    for (const auto& [key, value] : wanted) {
      if (result.at(key) != value)
        return std::string(key) + " is " + to_text(result.at(key)) + ", not " + to_text(value);
    }
    return {};
  }
  bool exec_fails() {
    try {
      static_cast<void>(exec({"true"}));
      return false;
    } catch (const Failure&) {
      return true;
    }
  }
  bool enumerated() {
    const json::object all = backend_.enumerate();
    if (auto problems = schema_problems(context_.schemas, all, "bot-bottle.bottles/1"); !problems.empty()) {
      throw Failure(make_error(ErrorKind::internal, "enumerate: " + problems));
    }
    return std::ranges::any_of(all.at("bottles").as_array(),
                               [&](const json::value& item) { return get_string(item.as_object(), "slug") == slug_; });
  }

  void use() {
    check("exec gives codes and keeps streams apart", [&]() -> std::string {
      if (auto problem = expect(exec({"true"}), 0, ""); !problem.empty()) return problem;
      return expect(shell("echo out; echo err >&2; exit 7"), 7, "out\n", "err\n");
    });
    check("exec reads its standard input", [&] {
      Pipe input;
      or_throw(write_all(input.write.get(), "from outside"));
      input.write.reset();
      return expect(exec({"cat"}, input.read.get()), 0, "from outside");
    });
    check("exec has the request's environment and directory", [&] {
      return expect(shell("echo $CHECKED; pwd; echo ${HOSTNAME_OF_CHECK-none}"), 0, "yes\n/workspace\nnone\n");
    });
    check("exec cuts long output and says so", [&]() -> std::string {
      json::object wanted = request({"sh", "-c", "printf 0123456789"});
      wanted["max_output"] = 4;
      const json::object result = backend_.exec(bottle_, wanted, -1);
      if (!get_bool(result, "truncated", false)) return "truncated is not set";
      return get_string(result, "stdout") == "0123" ? "" : "stdout is " + to_text(result.at("stdout"));
    });
    check("a program that is not there is \"not found\"", [&]() -> std::string {
      try {
        static_cast<void>(exec({"no-such-program-of-the-check"}));
      } catch (const Failure& failure) {
        return failure.error().kind == ErrorKind::not_found ? ""
                                                            : "it is " + std::string(name_of(failure.error().kind));
      }
      return "it was found";
    });
    check("the workspace is a copy", [&] { return expect(shell("cat given.txt"), 0, "given\n"); });
    check("the agent has no network of its own", [&]() -> std::string {
      // On the address wire one route is right, and the bottle's own self-test tells it from others.
      if (get_string(plan_, "wire") == "address" && !get_strings(bottle_, "selftest").empty()) {
        const json::object result = exec(get_strings(bottle_, "selftest"));
        return get_int(result, "code", 1) == 0 ? "" : "the self-test says: " + get_string(result, "stdout");
      }
      // A route beyond loopback would be listed here.
      const json::object result = shell("cat /proc/net/route 2>/dev/null | tail -n +2 | grep -v '^lo' || true");
      return trim(get_string(result, "stdout")).empty() ? "" : "it has routes: " + get_string(result, "stdout");
    });
    check_copies();
    check("attach gives an argv without the request's values", [&]() -> std::string {
      json::object wanted = request({"true"});
      wanted["env"] = json::object{{"HIDDEN", context_.planted}};
      const json::object attach = backend_.attach_argv(bottle_, wanted);
      if (auto problems = schema_problems(context_.schemas, attach, "bot-bottle.attach/1"); !problems.empty())
        return problems;
      return to_text(attach.at("argv")).find(context_.planted) == std::string::npos
                 ? ""
                 : "a value of env is on argv, where ps shows it";
    });
    check("enumerate lists the bottle", [&]() -> std::string { return enumerated() ? "" : "it is not there"; });
    check("a cancelled call returns within 5 seconds", [&]() -> std::string {
      Pipe cancel;
      or_throw(write_all(cancel.write.get(), "x"));
      const int before = std::exchange(context_.options.cancel_fd, cancel.read.get());
      const auto begun = Clock::now();
      std::string problem = "it ended as if it had not been cancelled";
      try {
        static_cast<void>(exec({"sleep", "15"}));
      } catch (const Failure& failure) {
        problem = failure.error().kind == ErrorKind::cancelled ? "" : "it failed with " + failure.error().message;
      }
      context_.options.cancel_fd = before;
      return Clock::now() - begun > std::chrono::seconds(5) ? "it took longer" : problem;
    });
  }

  void check_copies() {
    const fs::path source = scratch() / "in.txt";
    const fs::path back = scratch() / "out.txt";
    check("copy_in and copy_out keep content and mode", [&]() -> std::string {
      or_throw(write_file_fast(source, "carried\n", 0640));
      backend_.copy_in(bottle_, {{"schema", "bot-bottle.copy/1"},
                                 {"source", source.string()},
                                 {"dest", "/workspace/in.txt"},
                                 {"recursive", false},
                                 {"mode", 0640}});
      if (auto problem = expect(shell("cat in.txt && find in.txt -perm 640"), 0, "carried\nin.txt\n"); !problem.empty())
        return problem;
      backend_.copy_out(bottle_, {{"schema", "bot-bottle.copy/1"},
                                  {"source", "/workspace/in.txt"},
                                  {"dest", back.string()},
                                  {"recursive", false}});
      return or_throw(read_file(back)) == "carried\n" ? "" : "the content changed";
    });
    check("copy_out follows no link", [&]() -> std::string {
      const fs::path dest = scratch() / "link-out";
      static_cast<void>(shell("ln -s /etc/passwd leak"));
      try {
        backend_.copy_out(bottle_, {{"schema", "bot-bottle.copy/1"},
                                    {"source", "/workspace/leak"},
                                    {"dest", dest.string()},
                                    {"recursive", true}});
      } catch (const Failure&) {
        return {};  // refusing is right, too
      }
      std::error_code code;
      if (fs::is_symlink(dest, code))
        return fs::read_symlink(dest, code).is_absolute() ? "a link that leaves the destination was made" : "";
      return fs::is_regular_file(dest, code) ? "the link was followed" : "";
    });
  }

  CheckContext& context_;
  Backend& backend_;
  std::string name_;
  std::string slug_;
  fs::path state_;
  Pipe lifeline_;
  json::object plan_;
  json::object bottle_;
};

}  // namespace

void check_backend(CheckContext& context, Backend& backend) {
  const std::string name = "backend:" + backend.name();
  ::setenv("HOSTNAME_OF_CHECK", "host", 1);  // nothing of our environment may be seen in a bottle
  json::object probe;
  const bool probed = context.checker.check(name + ": probe fits its schema", [&]() -> std::string {
    probe = backend.probe();
    if (auto problems = schema_problems(context.schemas, probe, "bot-bottle.probe/1"); !problems.empty())
      return problems;
    if (!get_bool(probe, "available", false) && get_string(probe, "reason").empty())
      return "it is not available and does not say why";
    return leaked_secrets(context, probe);
  });
  if (!probed) return;
  if (!get_bool(probe, "available", false)) {
    const std::string fix = get_string(probe, "fix");
    context.checker.note(
        name + ": the life of a bottle",
        "not run, it is not available here: " + get_string(probe, "reason") + (fix.empty() ? "" : " (" + fix + ")"));
    return;
  }
  Life life(context, backend);
  if (!life.plan()) return;
  std::error_code code;
  if (!fs::exists(context.options.installation.libexec / "bot-bottle-sidecar", code)) {
    context.checker.note(name + ": the life of a bottle", "not run, bot-bottle-sidecar is not installed");
    return;
  }
  life.run();
}

}  // namespace bot_bottle::plugins
