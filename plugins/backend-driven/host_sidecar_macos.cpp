// macOS: the sidecar in a sandbox-exec(1) profile, held by `bottle-driven keep`. Not run by us so far: there was no
// Mac.
#ifdef __APPLE__
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "core/base/unique_fd.hpp"
#include "plugins/backend-driven/host_sidecar.hpp"
#include "plugins/backend-driven/keep_start.hpp"
#include "plugins/backend-driven/sidecar_profile.hpp"

namespace bot_bottle::driven {
namespace {

constexpr std::chrono::milliseconds sidecar_grace{4'000};
constexpr int look_ms = 10;

std::string sidecar_lock(const std::string& state_dir) {
  return state_dir + "/backend/sidecar.lock";
}

/// Where the git is that the git-gate runs. xcode-select says it without opening a window, which the shim /usr/bin/git
/// does where there is none.
std::string find_developer_directory(const sdk::Call& call) {
  const Tool tool("/usr/bin/xcode-select", tool_environment({"DEVELOPER_DIR"}));
  ToolRun run;
  run.arguments = {"--print-path"};
  const ToolResult result = tool.run(run, call.cancel_fd());
  const std::string found = result.code == 0 ? developer_directory(result.out) : std::string();
  if (found.empty() || ::access((found + "/usr/bin/git").c_str(), X_OK) != 0)
    throw sdk::Error(sdk::Status::failed_precondition, "git-gate needs git, which this Mac does not have",
                     "xcode-select --install");
  return found;
}

}  // namespace

sdk::Sidecar start_host_sidecar(const sdk::Host& host, const sdk::Call& call, const HostSidecar& sidecar, int config_fd,
                                int lifeline_fd) {
  const std::string libexec = host.path(call, "libexec");
  const std::string share = host.path(call, "share");
  or_throw(make_directories(sidecar.state_dir + "/backend", 0700));
  for (const char* name : {"egress", "wire", "control", "logs", "git-gate", "supervise"})
    or_throw(make_directories(sidecar.state_dir + "/" + name, 0700));
  const std::string developer = sidecar.has_git_gate ? find_developer_directory(call) : std::string();
  std::vector<std::string> argv{"/usr/bin/sandbox-exec",
                                "-p",
                                sidecar_profile(sidecar, libexec, share, developer),
                                libexec + "/bot-bottle-sidecar",
                                "--state",
                                sidecar.state_dir,
                                "--share",
                                share};
  if (!sidecar.rules_database.empty() && ::access(sidecar.rules_database.c_str(), R_OK) == 0)
    argv.insert(argv.end(), {"--rules-database", sidecar.rules_database});
  argv.insert(argv.end(), sidecar.arguments.begin(), sidecar.arguments.end());
  const StartedKeep started = start_keep(
      host, call,
      {{"lock", sidecar_lock(sidecar.state_dir)},
       {"log", sidecar.state_dir + "/logs/sidecar.log"},
       {"program", to_array(argv)},
       {"env", {{"PATH", sidecar_path(developer)}, {"HOME", sidecar.state_dir + "/egress"}, {"LANG", "C.UTF-8"}}}},
      config_fd, lifeline_fd);
  sdk::Sidecar answer;
  answer.slug = sidecar.slug;
  answer.control = sidecar.state_dir + "/control/control.sock";
  answer.pid = started.program;
  return answer;
}

bool is_sidecar_running(const std::string& state_dir) {
  return find_holder(sidecar_lock(state_dir)).has_value();
}

Result<void> end_host_sidecar(const std::string& state_dir) {
  return end_holder(sidecar_lock(state_dir), sidecar_grace);
}

void open_wire(const std::string& /*state_dir*/) {}

std::vector<std::uint32_t> host_sidecar_peers() {
  return {static_cast<std::uint32_t>(::geteuid())};
}

std::optional<pid_t> find_holder(const std::string& path) {
  const UniqueFd lock(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (!lock || ::fcntl(lock.get(), F_GETLK, &whole) != 0 || whole.l_type == F_UNLCK || whole.l_pid <= 0)
    return std::nullopt;
  return whole.l_pid;
}

Result<void> end_holder(const std::string& path, std::chrono::milliseconds grace) {
  for (const auto& [number, wait] : std::array<std::pair<int, std::chrono::milliseconds>, 2>{
           {{SIGTERM, grace}, {SIGKILL, std::chrono::seconds(3)}}}) {
    const auto pid = find_holder(path);
    if (!pid) return {};
    ::kill(*pid, number);  // the lock says that it lives: there is no pidfd here
    const auto deadline = std::chrono::steady_clock::now() + wait;
    while (find_holder(path) == pid && std::chrono::steady_clock::now() < deadline) ::poll(nullptr, 0, look_ms);
    ::waitpid(*pid, nullptr, WNOHANG);
  }
  if (find_holder(path)) return fail(ErrorKind::timeout, "what holds " + path + " does not end");
  return {};
}

}  // namespace bot_bottle::driven
#endif
