#include "core/plugins/check_bottle.hpp"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "core/base/file.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::plugins {
namespace {

using Clock = std::chrono::steady_clock;

std::string wait_for_ca(const std::string& socket) {
  const auto deadline = Clock::now() + std::chrono::seconds(30);
  for (int pause_ms = 10; Clock::now() < deadline; pause_ms = std::min(pause_ms * 2, 250)) {
    if (const auto status = control_call(socket, "status"); status && get_bool(*status, "ready", false))
      return get_string(*status, "ca_pem");
    ::poll(nullptr, 0, pause_ms);
  }
  throw Failure(make_error(ErrorKind::timeout, "the sidecar's control channel is not ready after 30 s"));
}

void must_fit(const CheckContext& context, const char* call, const json::object& document, std::string_view tag) {
  if (auto problems = schema_problems(context.schemas, document, tag); !problems.empty())
    throw Failure(make_error(ErrorKind::internal, std::string(call) + ": " + problems));
}

}  // namespace

CheckPipe::CheckPipe() {
  int ends[2] = {-1, -1};
  if (::pipe(ends) != 0) throw Failure(error_from_errno("cannot make a pipe", errno));
  for (const int fd : ends) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  read.reset(ends[0]);
  write.reset(ends[1]);
}

BottleUnderTest::BottleUnderTest(CheckContext& with, Backend& under_test)
    : context(with),
      backend(under_test),
      slug(with.slug),
      state(with.options.home.state_of(slug)),
      name_("backend:" + under_test.name()) {
  for (const char* part : {"egress", "wire", "control", "logs", "provision"}) or_throw(make_directories(state / part));
  or_throw(make_directories(scratch() / "workspace"));
  or_throw(write_file_fast(scratch() / "workspace" / "given.txt", "given\n", 0644));
  or_throw(write_file_fast(state / "egress" / "routes.toml", ""));
}

BottleUnderTest::~BottleUnderTest() {
  static_cast<void>(remove_tree(state));
}

json::object BottleUnderTest::make_spec() const {
  return {{"schema", "bot-bottle.spec/1"},
          {"slug", slug},
          {"agent", "check"},
          {"label", ""},
          {"version", "0"},
          {"state_dir", state.string()},
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

void BottleUnderTest::launch() {
  try {
    backend.build(plan);
  } catch (const Failure& failure) {
    if (failure.error().kind != ErrorKind::unsupported) throw;
  }
  CheckPipe lifeline;
  lifeline_ = std::move(lifeline.write);
  CheckPipe config;
  const json::object sidecar = backend.start_sidecar(plan, config.read.get(), lifeline.read.get());
  must_fit(context, "start_sidecar", sidecar, "bot-bottle.sidecar/1");
  config.read.reset();
  json::array peers{static_cast<std::int64_t>(::getuid())};
  if (const json::array* more = find_array(plan, "control_peer_uids"))
    peers.insert(peers.end(), more->begin(), more->end());
  const json::object document{{"schema", "bot-bottle.sidecar-config/1"},
                              {"slug", slug},
                              {"log_level", 1},
                              {"control_peer_uids", peers},
                              {"egress", json::object{{"routes", json::array{}}, {"hosts", json::object{}}}},
                              {"secrets", json::array{json::object{{"name", "CHECKED"}, {"value", context.planted}}}},
                              {"placeholders", json::array{}},
                              {"disabled_guards", json::array{}}};
  or_throw(write_all(config.write.get(), to_text(document)));
  config.write.reset();
  bottle =
      backend.launch(plan, {{"schema", "bot-bottle.launch/1"}, {"ca_pem", wait_for_ca(get_string(sidecar, "control"))}},
                     lifeline.read.get());
  must_fit(context, "launch", bottle, "bot-bottle.bottle/1");
}

void BottleUnderTest::empty_wires() const {
  for (const char* part : {"wire", "control"}) {
    or_throw(remove_tree(state / part));
    or_throw(make_directories(state / part));
  }
}

json::object BottleUnderTest::request(std::vector<std::string> argv) {
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

json::object BottleUnderTest::exec(const json::object& request, int stdin_fd) {
  json::object result = backend.exec(bottle, request, stdin_fd);
  must_fit(context, "exec", result, "bot-bottle.exec-result/1");
  return result;
}

json::object BottleUnderTest::exec(std::vector<std::string> argv, int stdin_fd) {
  return exec(request(std::move(argv)), stdin_fd);
}

bool BottleUnderTest::exec_fails() {
  try {
    static_cast<void>(exec({"true"}));
    return false;
  } catch (const Failure&) {
    return true;
  }
}

bool BottleUnderTest::enumerated() {
  const json::object all = backend.enumerate();
  must_fit(context, "enumerate", all, "bot-bottle.bottles/1");
  return std::ranges::any_of(all.at("bottles").as_array(),
                             [&](const json::value& item) { return get_string(item.as_object(), "slug") == slug; });
}

void BottleUnderTest::copy_in(const std::filesystem::path& from, const std::string& to, bool recursive, int mode) {
  json::object request{
      {"schema", "bot-bottle.copy/1"}, {"source", from.string()}, {"dest", to}, {"recursive", recursive}};
  if (mode >= 0) request["mode"] = mode;
  backend.copy_in(bottle, request);
}

void BottleUnderTest::copy_out(const std::string& from, const std::filesystem::path& to, bool recursive) {
  backend.copy_out(
      bottle, {{"schema", "bot-bottle.copy/1"}, {"source", from}, {"dest", to.string()}, {"recursive", recursive}});
}

std::string expect(const json::object& result, int code, std::string_view out, std::string_view err) {
  const json::object wanted{{"code", code}, {"stdout", out}, {"stderr", err}};
  for (const auto& [key, value] : wanted) {
    if (result.at(key) != value) return std::string(key) + " is " + to_text(result.at(key)) + ", not " + to_text(value);
  }
  return {};
}

}  // namespace bot_bottle::plugins
