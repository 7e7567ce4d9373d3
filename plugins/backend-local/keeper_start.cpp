#include "plugins/backend-local/keeper_start.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "core/base/paths.hpp"
#include "core/base/safe_path.hpp"
#include "plugins/backend-local/etc_files.hpp"
#include "plugins/backend-local/layout.hpp"

namespace bot_bottle::backend_local {
namespace {

/// What the sidecar may write. The rest of the state is not there for it.
constexpr std::array<const char*, 6> sidecar_directories{"egress", "wire", "control", "logs", "git-gate", "supervise"};
constexpr std::uint32_t sidecar_inner_uid = 1000;

UniqueFd make_memory_file(const std::string& text) {
  UniqueFd file(::memfd_create("keeper-document", MFD_CLOEXEC));
  if (!file) throw Failure(error_from_errno("cannot make a memory file", errno));
  or_throw(write_all(file.get(), text));
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

std::string uid_record(const std::string& state_dir, Component component) {
  return state_dir + "/backend/" + std::string(name_of(component)) + ".uid";
}

}  // namespace

void open_wire_to_agent(const std::string& state_dir) {
  const UniqueFd wire = open_state_directory(state_dir + "/wire");
  if (::fchmod(wire.get(), 0711) != 0) throw Failure(error_from_errno("cannot open the wire to the agent", errno));
  for (const char* name : {"egress.sock", "git-gate.sock", "supervise.sock", "report.sock"}) {
    const UniqueFd socket(::openat(wire.get(), name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat status {};
    if (!socket || ::fstat(socket.get(), &status) != 0 || !S_ISSOCK(status.st_mode)) continue;
    ::chmod(("/proc/self/fd/" + std::to_string(socket.get())).c_str(), 0666);
  }
}

bool is_root() {
  return ::geteuid() == 0;
}

ReservedUid reserve_for(const std::string& state_dir, Component component) {
  std::optional<std::uint32_t> before;
  if (const auto text = read_file(uid_record(state_dir, component), 64))
    before = static_cast<std::uint32_t>(std::strtoul(text->c_str(), nullptr, 10));
  ReservedUid reserved = or_throw(reserve_uid(before));
  or_throw(write_file_fast(uid_record(state_dir, component), std::to_string(reserved.uid)));
  return reserved;
}

std::string find_bwrap() {
  const auto path = find_program("bwrap", environment("PATH").value_or("/usr/bin:/bin") + ":/usr/bin:/usr/local/bin");
  if (!path)
    throw sdk::Error(sdk::Status::unavailable, "bwrap (bubblewrap) is not installed",
                     "sudo apt-get install bubblewrap");
  return path->string();
}

UniqueFd open_state_directory(const std::string& path) {
  UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) throw Failure(error_from_errno("cannot open " + path, errno));
  return directory;
}

std::vector<std::uint32_t> sidecar_peers() {
  if (!is_root()) return {static_cast<std::uint32_t>(::geteuid())};
  std::uint32_t overflow = 65534;
  if (const auto text = read_file("/proc/sys/kernel/overflowuid", 64))
    overflow = static_cast<std::uint32_t>(std::stoul(*text));
  return {0, overflow};
}

SpawnedKeeper spawn_keeper(const sdk::Host& host, const sdk::Call& call, const KeeperDocument& document, int config_fd,
                           int lifeline_fd, int uid_lock_fd) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw Failure(error_from_errno("cannot make a pipe", errno));
  UniqueFd status(ends[0]);
  const UniqueFd status_write(ends[1]);
  const UniqueFd text = make_memory_file(to_text(to_json(document)));
  sdk::ProcessRequest request;
  request.argv = {host.path(call, "libexec") + "/bottle-keeper", "run"};
  request.env = sdk::StringMap{};
  request.session = true;
  std::vector<sdk::ChildFd> fds{{text.get(), keeper_document_fd}, {status_write.get(), keeper_status_fd}};
  const auto pass = [&](int source, int target, const char* option) {
    if (source < 0) return;
    request.argv.emplace_back(option);
    fds.push_back({source, target});
  };
  pass(lifeline_fd, keeper_lifeline_fd, "--lifeline");
  pass(config_fd, keeper_config_fd, "--config");
  pass(uid_lock_fd, keeper_uid_lock_fd, "--uid-lock");
  const auto pid = static_cast<pid_t>(host.spawn(call, request, fds));
  return {.pid = pid,
          .status = std::move(status),
          .lock = lock_path(document.state_dir, document.component),
          .state_dir = document.state_dir};
}

StartedKeeper await_keeper(const sdk::Call& call, const SpawnedKeeper& keeper) {
  const pid_t pid = keeper.pid;
  std::string line;
  while (line.find('\n') == std::string::npos) {
    std::array<pollfd, 2> polled{{{.fd = keeper.status.get(), .events = POLLIN, .revents = 0},
                                  {.fd = call.cancel_fd(), .events = POLLIN, .revents = 0}}};
    if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) break;
    if (polled[1].revents != 0) {
      // Before it holds its lock only its pid names it; it is our child and not reaped yet, so the pid is its own.
      ::kill(pid, SIGTERM);
      or_throw(end_keeper(keeper.lock, std::chrono::seconds(1)));
      ::waitpid(pid, nullptr, 0);
      throw sdk::Error(sdk::Status::cancelled, "cancelled");
    }
    if (polled[0].revents == 0) continue;
    std::array<char, 4096> bytes{};
    const ssize_t got = ::read(keeper.status.get(), bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || line.size() > 65536) break;
    line.append(bytes.data(), static_cast<std::size_t>(got));
  }
  const auto message = parse_json_object(line);
  if (message && get_bool(*message, "ready", false))
    return {.pid = pid, .init = static_cast<pid_t>(get_int(*message, "init", -1))};
  ::waitpid(pid, nullptr, 0);  // nothing of it is left when the error is seen
  const json::object* error = message ? find_object(*message, "error") : nullptr;
  if (error == nullptr)
    throw sdk::Error(sdk::Status::internal, "bottle-keeper ended without a word", "see " + keeper.state_dir + "/logs");
  Error told = make_error(ErrorKind::failed_precondition, get_string(*error, "message"), get_string(*error, "hint"));
  for (int kind = 0; kind <= static_cast<int>(ErrorKind::refused); ++kind)
    if (name_of(static_cast<ErrorKind>(kind)) == get_string(*error, "kind")) told.kind = static_cast<ErrorKind>(kind);
  throw Failure(std::move(told));
}

SpawnedKeeper spawn_sidecar(const sdk::Host& host, const sdk::Call& call, const SidecarProcess& process, int config_fd,
                            int lifeline_fd) {
  const std::string& state = process.state_dir;
  or_throw(make_directories(state + "/backend/run", 0700));
  for (const char* name : sidecar_directories) or_throw(make_directories(state + "/" + name, 0700));
  KeeperDocument document;
  document.component = Component::sidecar;
  document.slug = process.slug;
  document.agent = process.agent;
  document.label = process.label;
  document.state_dir = state;
  document.bwrap = find_bwrap();
  document.inner_uid = document.inner_gid = is_root() ? sidecar_inner_uid : ::geteuid();
  ReservedUid reserved;
  if (is_root()) {
    reserved = reserve_for(state, Component::sidecar);
    document.uid = reserved.uid;
    // Its own files only, and they may be hostile after an earlier run: nothing is followed.
    for (const char* name : sidecar_directories) {
      const UniqueFd directory = open_state_directory(state + "/" + name);
      or_throw(change_owner(directory.get(), reserved.uid, reserved.uid));
    }
  } else if (document.inner_uid == 0) {
    document.inner_uid = document.inner_gid = sidecar_inner_uid;
  }
  or_throw(write_sidecar_etc(state + "/backend/sidecar-etc", document.inner_uid, document.inner_gid));
  const std::string libexec = host.path(call, "libexec");
  const std::string& rules = process.rules_database;
  const bool has_rules = !rules.empty() && ::access(rules.c_str(), R_OK) == 0;
  document.steps = sidecar_steps(state, libexec, host.path(call, "share"), has_rules ? rules : "",
                                 {sidecar_directories.begin(), sidecar_directories.end()});
  document.init = {"/run/sidecar/bin/bottle-init", "--service"};
  document.init.insert(document.init.end(), process.init_options.begin(), process.init_options.end());
  document.program = {"/run/sidecar/bin/bot-bottle-sidecar", "--state", "/run/sidecar/state", "--share",
                      "/run/sidecar/share"};
  if (has_rules) document.program.insert(document.program.end(), {"--rules-database", "/run/sidecar/rules.database"});
  document.program.insert(document.program.end(), process.arguments.begin(), process.arguments.end());
  document.env = {{"PATH", "/usr/local/bin:/usr/bin:/bin"}, {"HOME", "/run/sidecar/state"}, {"LANG", "C.UTF-8"}};
  document.disabled_guards = process.disabled_guards;
  return spawn_keeper(host, call, document, config_fd, lifeline_fd, reserved.lock.get());
}

}  // namespace bot_bottle::backend_local
