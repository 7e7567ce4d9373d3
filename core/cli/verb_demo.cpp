// `demo`: lets a scripted hostile agent attack its own walls in a bottle of the local backend and shows what stopped
// it. The bottle is made by `bot-bottle run` in a child process: the demo has no way in that a user has not.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <memory>
#include <set>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/process.hpp"
#include "core/base/random.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/cli/demo_facts.hpp"
#include "core/cli/event_log.hpp"
#include "core/cli/verbs.hpp"

namespace bot_bottle::cli {
namespace {

constexpr const char* demo_slug = "demo";

/// A directory of our own that goes with us; its content may be hostile (the bottle wrote in it).
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(mode_t mode) {
    std::string name = (std::filesystem::temp_directory_path() / "bb-demo-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw Failure(error_from_errno("making " + name, errno));
    path_ = name;
    if (::chmod(name.c_str(), mode) != 0) throw Failure(error_from_errno("making " + name, errno));
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    if (!kept_) (void)remove_tree(path_);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  void keep() { kept_ = true; }

 private:
  std::filesystem::path path_;
  bool kept_ = false;
};

volatile sig_atomic_t running_child = 0;
volatile sig_atomic_t interrupted = 0;

/// The child undoes its bottle; we wait for it and then remove the rest.
void pass_on(int /*signal*/) {
  interrupted = 1;
  if (running_child > 0) ::kill(running_child, SIGTERM);
}

class PassSignalsOn {
 public:
  PassSignalsOn() {
    struct sigaction action {};
    action.sa_handler = pass_on;
    for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &action, &before_[i]);
  }
  ~PassSignalsOn() {
    for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &before_[i], nullptr);
  }
  PassSignalsOn(const PassSignalsOn&) = delete;
  PassSignalsOn& operator=(const PassSignalsOn&) = delete;

 private:
  static constexpr std::array<int, 3> signals{SIGINT, SIGTERM, SIGHUP};
  std::array<struct sigaction, 3> before_{};
};

/// Our environment for the child: the planted secrets come in as an operator's would.
std::map<std::string, std::string> child_environment(const DemoSecrets& secrets) {
  std::map<std::string, std::string> env;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view line(*entry);
    if (const std::size_t equals = line.find('='); equals != std::string_view::npos)
      env[std::string(line.substr(0, equals))] = line.substr(equals + 1);
  }
  env.erase("BOT_BOTTLE_HOME");
  env.erase("BOT_BOTTLE_BACKEND");
  env["DEMO_TOKEN"] = secrets.injected;
  env["DEMO_STOLEN"] = secrets.stolen;
  return env;
}

void show_line(const Context& context, const AttackLine& line) {
  const bool good = line.verdict == "blocked";
  const std::string_view word = good ? "blocked" : line.verdict == "escaped" ? "ESCAPED" : "NO PROOF";
  std::string text = context.paint(fmt::format("{:<8}", word), good                        ? Tone::good
                                                               : line.verdict == "escaped" ? Tone::bad
                                                                                           : Tone::warning);
  text += fmt::format("  {:<7}  {:<9}  {}", escape_untrusted(line.id, 16), escape_untrusted(line.guard, 16),
                      escape_untrusted(line.attempt, 200));
  context.out(text);
  if (!good || context.output.verbose) context.out("          " + escape_untrusted(line.detail, 400));
}

struct ChildResult {
  int code = 0;
  std::string err;
};

/// Runs the bottle; each line of the suite is given while it runs.
ChildResult run_bottle(Context& context, const std::filesystem::path& home, const DemoSecrets& secrets,
                       const std::filesystem::path& error_file, const std::function<void(std::string_view)>& on_line) {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw Failure(error_from_errno("making a pipe", errno));
  const UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  const UniqueFd errors(::open(error_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_TRUNC, 0600));
  if (!errors) throw Failure(error_from_errno("making " + error_file.string(), errno));
  ProcessRequest request;
  request.argv = {(context.installation().bin / "bot-bottle").string(),
                  "--home",
                  home.string(),
                  "-q",
                  "run",
                  demo_slug,
                  "--label",
                  demo_slug,
                  "--yes",
                  "--no-workspace",
                  "--keep",
                  "-p",
                  "attack"};
  if (context.trust_plugins) request.argv.insert(request.argv.begin() + 1, "--trust-plugins");
  request.env = child_environment(secrets);
  request.cwd = home.string();
  request.fds = {{theirs.get(), 1}, {errors.get(), 2}};
  const pid_t child = or_throw(spawn_process(request));
  running_child = child;
  theirs.reset();
  LineReader reader;
  while (true) {
    try {
      reader.read_available(ours.get(), on_line);
      break;
    } catch (const Failure&) {
      ::kill(child, SIGTERM);
      (void)wait_for_exit(child);
      running_child = 0;
      throw;
    }
  }
  const int code = or_throw(wait_for_exit(child));
  running_child = 0;
  return {.code = code, .err = read_file(error_file, std::size_t{1} << 20).value_or("")};
}

/// Ends the bottle's state when it was kept; a failed launch has undone itself.
void remove_bottle(Context& context, const std::filesystem::path& home) {
  ProcessRequest request;
  request.argv = {
      (context.installation().bin / "bot-bottle").string(), "--home", home.string(), "-q", "stop", "--rm", demo_slug};
  const auto result = run_process(request);
  if (!result || result->code != 0)
    context.detail("removing the demo's bottle: " + escape_untrusted(result ? result->err : result.error().message));
}

struct Tally {
  std::size_t attempts = 0, blocked = 0, escaped = 0, unproven = 0;
  std::map<std::string, std::vector<std::string>> failed;  // guard → ids
  std::set<std::string> guards;
  void add(const AttackLine& line) {
    ++attempts;
    guards.insert(line.guard);
    if (line.verdict == "blocked") {
      ++blocked;
      return;
    }
    ++(line.verdict == "escaped" ? escaped : unproven);
    failed[line.guard].push_back(line.id);
  }
};

std::string ids_text(const std::vector<std::string>& ids) {
  std::vector<std::string> shown(ids.begin(),
                                 ids.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(ids.size(), 8)));
  return join(shown, ", ") + (ids.size() > shown.size() ? fmt::format(" and {} more", ids.size() - shown.size()) : "");
}

struct DemoOptions {
  std::string backend = "local";
  std::vector<std::string> only;
};

/// Ids of the attempts that are known to get through: left out, counted and named at the end, and made by the escape
/// suite, which fails when the list is longer than the truth. An unreadable list leaves nothing out.
std::vector<std::string> known_gaps(const Installation& installation) {
  std::vector<std::string> ids;
  const auto text = read_file(installation.share / "attack" / "known_gaps.txt");
  if (!text) return ids;
  for (const std::string_view line : split(*text, '\n')) {
    const std::string_view id = line.substr(0, line.find(' '));
    if (!id.empty() && id.find_first_not_of("0123456789.") == std::string_view::npos) ids.emplace_back(id);
  }
  return ids;
}

int run_demo(Context& context, const DemoOptions& options) {
  const std::filesystem::path attack = context.installation().libexec / "bottle-attack";
  if (::access(attack.c_str(), X_OK) != 0)
    throw Failure(make_error(ErrorKind::failed_precondition, "the scripted attacker " + attack.string() + " is missing",
                             "reinstall bot-bottle"));
  for (const std::string& id : options.only)  // it becomes part of a command line in the bottle
    if (id.empty() || id.find_first_not_of("0123456789.") != std::string::npos)
      throw Failure(
          make_error(ErrorKind::usage, "'" + id + "' is not the number of an attempt", "bot-bottle demo --only 1.2,3"));

  TemporaryDirectory own(0700);
  if (context.output.debug) {
    own.keep();
    context.note("logs are kept in " + own.path().string());
  }
  // Readable by everybody, so that only the bottle's walls keep it from the agent and not a file mode.
  const TemporaryDirectory open_to_all(0755);
  DemoWorld world{.root = own.path(),
                  .attack = attack,
                  .planted = open_to_all.path() / "planted.txt",
                  .backend = options.backend,
                  .origin = {},
                  .canary = {},
                  .only = options.only,
                  .skip = known_gaps(context.installation())};
  const DemoSecrets secrets{.injected = "demo-token-" + random_base36(32),
                            .stolen = "demo-stolen-" + random_base36(32)};
  const std::filesystem::path home = world.root / "home";
  const std::filesystem::path origin_log = world.root / "origin.jsonl";
  const std::filesystem::path canary_log = world.root / "canary.jsonl";
  or_throw(write_file_fast(world.planted, "planted " + random_base36(16) + "\n", 0644));

  std::vector<AttackLine> lines;
  ChildResult result;
  std::vector<AttackLine> host;
  {
    const PassSignalsOn signals;
    const AttackHelper origin(
        {attack.string(), "origin", "--log", origin_log.string(), "--port-file", (world.root / "origin.json").string(),
         "--name", fmt::format("{},{},{},{}", demo_origin, demo_denied, demo_guarded, demo_vault)},
        world.root / "origin.json");
    const AttackHelper canary(
        {attack.string(), "canary", "--log", canary_log.string(), "--port-file", (world.root / "canary.json").string()},
        world.root / "canary.json");
    world.origin = origin.facts();
    world.canary = canary.facts();
    or_throw(make_directories(home / "bottles"));
    or_throw(make_directories(home / "agents"));
    or_throw(write_file_fast(home / "bottles" / "demo.md", demo_bottle_text(world, secrets)));
    or_throw(write_file_fast(home / "agents" / "demo.md", demo_agent_text()));
    context.note("a hostile agent in a bottle of the " + escape_untrusted(options.backend) +
                 " backend, with a planted secret and one allowed origin:");
    result = run_bottle(context, home, secrets, world.root / "run.err", [&](std::string_view text) {
      const auto line = parse_attack_line(text);
      if (!line) return;
      lines.push_back(*line);
      if (!context.output.json) show_line(context, *line);
    });
    host = ask_host(origin_log, canary_log, home / "state" / demo_slug / "logs" / "events.jsonl", secrets);
    if (!context.output.debug) remove_bottle(context, home);
  }
  if (interrupted != 0)
    throw Failure(make_error(ErrorKind::cancelled, "the demo was interrupted; its bottle was undone"));
  if (lines.empty()) {
    Error error = make_error(
        exit_code_of(ErrorKind::unavailable) == result.code ? ErrorKind::unavailable : ErrorKind::failed_precondition,
        fmt::format("the demo's bottle did not run (exit code {})", result.code), "bot-bottle doctor");
    error.details = std::string(trim(result.err));
    throw Failure(std::move(error));
  }
  // A suite that was cut off has proved nothing about what it had not tried yet.
  if (result.code != 0 && result.code != 1)
    host.push_back({.id = "host.8",
                    .attempt = "the suite ran to its end",
                    .guard = "control",
                    .verdict = "error",
                    .detail = fmt::format("exit code {}: {}", result.code, trim(result.err))});
  if (!context.output.json) context.out(context.paint("what the host saw", Tone::strong));
  Tally tally;
  for (const AttackLine& line : lines) tally.add(line);
  for (const AttackLine& line : host) {
    tally.add(line);
    if (!context.output.json) show_line(context, line);
  }
  const bool good = tally.failed.empty();
  if (context.output.json) {
    json::array attempts;
    for (const auto* part : {&lines, &host})
      for (const AttackLine& line : *part)
        attempts.push_back({{"id", line.id},
                            {"attempt", line.attempt},
                            {"guard", line.guard},
                            {"verdict", line.verdict},
                            {"detail", line.detail}});
    json::object failed;
    for (const auto& [guard, ids] : tally.failed) failed[guard] = to_array(ids);
    context.print_json({{"schema", "bot-bottle.demo/1"},
                        {"ok", good},
                        {"attempts", std::move(attempts)},
                        {"failed_guards", std::move(failed)}});
    return good ? 0 : 1;
  }
  context.out("");
  context.out(context.paint(fmt::format("{} attempts: {} blocked, {} escaped, {} without proof", tally.attempts,
                                        tally.blocked, tally.escaped, tally.unproven),
                            good ? Tone::good : Tone::bad));
  for (const auto& [guard, ids] : tally.failed)
    context.out(context.paint("failed guard: " + escape_untrusted(guard, 32), Tone::bad) + " (" +
                escape_untrusted(ids_text(ids)) + ")");
  if (world.only.empty() && !world.skip.empty())
    context.out(fmt::format("{} disguises that DLP does not see through yet were left out: docs/security-model.md",
                            world.skip.size()));
  if (good)
    context.out(
        fmt::format("every guard held: {}", escape_untrusted(fmt::format("{}", fmt::join(tally.guards, ", ")))));
  if (!good && !trim(result.err).empty()) context.detail(escape_untrusted_lines(result.err));
  return good ? 0 : 1;
}

}  // namespace

void add_demo(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "demo", "Watch a hostile agent fail to break out of a bottle", "Look",
                            "bot-bottle demo\nbot-bottle demo --only 1,3.2");
  auto options = std::make_shared<DemoOptions>();
  verb->add_option("--backend", options->backend, "What isolates (default: local)")->type_name("NAME");
  verb->add_option("--only", options->only, "Only the attempts whose numbers begin so (separate by commas)")
      ->type_name("NUMBER")
      ->delimiter(',')
      ->allow_extra_args(false);
  add_json_option(*verb, context);
  verb->callback([&context, options] { context.action = [&context, options] { return run_demo(context, *options); }; });
}

}  // namespace bot_bottle::cli
