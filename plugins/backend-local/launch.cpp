// start_sidecar and launch: the two keepers. What a bottle needs before its own is in prepare.cpp.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <thread>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "core/base/paths.hpp"
#include "plugins/backend-local/etc_files.hpp"
#include "plugins/backend-local/layout.hpp"
#include "plugins/backend-local/local_backend.hpp"
#include "plugins/backend-local/probe.hpp"
#include "plugins/backend-local/processes.hpp"

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

/// The bottle's side must be able to connect; who can get at the directory at all is decided above it (0700). The
/// directory is the sidecar's: nothing is followed.
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

}  // namespace

UniqueFd open_state_directory(const std::string& path) {
  UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) throw Failure(error_from_errno("cannot open " + path, errno));
  return directory;
}

LocalBackend::SpawnedKeeper LocalBackend::spawn_keeper(const sdk::Call& call, const KeeperDocument& document,
                                                       int config_fd, int lifeline_fd, int uid_lock_fd) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw Failure(error_from_errno("cannot make a pipe", errno));
  UniqueFd status(ends[0]);
  const UniqueFd status_write(ends[1]);
  const UniqueFd text = make_memory_file(to_text(to_json(document)));
  sdk::ProcessRequest request;
  request.argv = {host().path(call, "libexec") + "/bottle-keeper", "run"};
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
  const auto pid = static_cast<pid_t>(host().spawn(call, request, fds));
  keepers_.push_back(pid);
  return {.pid = pid,
          .status = std::move(status),
          .lock = lock_path(document.state_dir, document.component),
          .state_dir = document.state_dir};
}

LocalBackend::StartedKeeper LocalBackend::await_keeper(const sdk::Call& call, const SpawnedKeeper& keeper) {
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
      reap(pid);
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
  reap(pid);  // nothing of it is left when the error is seen
  const json::object* error = message ? find_object(*message, "error") : nullptr;
  if (error == nullptr)
    throw sdk::Error(sdk::Status::internal, "bottle-keeper ended without a word", "see " + keeper.state_dir + "/logs");
  Error told = make_error(ErrorKind::failed_precondition, get_string(*error, "message"), get_string(*error, "hint"));
  for (int kind = 0; kind <= static_cast<int>(ErrorKind::refused); ++kind)
    if (name_of(static_cast<ErrorKind>(kind)) == get_string(*error, "kind")) told.kind = static_cast<ErrorKind>(kind);
  throw Failure(std::move(told));
}

sdk::Sidecar LocalBackend::start_sidecar(const sdk::Call& call, const sdk::Plan& plan, int config_fd, int lifeline_fd) {
  const std::string& state = plan.state_dir;
  or_throw(make_directories(state + "/backend/run", 0700));
  for (const char* name : sidecar_directories) or_throw(make_directories(state + "/" + name, 0700));
  KeeperDocument document;
  document.component = Component::sidecar;
  document.slug = plan.slug;
  document.agent = get_string(plan.data, "agent");
  document.label = get_string(plan.data, "label");
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
  const std::string libexec = host().path(call, "libexec");
  const std::string rules = get_string(plan.data, "rules_database");
  const bool has_rules = !rules.empty() && ::access(rules.c_str(), R_OK) == 0;
  document.steps = sidecar_steps(state, libexec, host().path(call, "share"), has_rules ? rules : "",
                                 {sidecar_directories.begin(), sidecar_directories.end()});
  document.init = {"/run/sidecar/bin/bottle-init", "--service"};
  document.program = {"/run/sidecar/bin/bot-bottle-sidecar", "--state", "/run/sidecar/state", "--share",
                      "/run/sidecar/share"};
  if (has_rules) document.program.insert(document.program.end(), {"--rules-database", "/run/sidecar/rules.database"});
  document.env = {{"PATH", "/usr/local/bin:/usr/bin:/bin"}, {"HOME", "/run/sidecar/state"}, {"LANG", "C.UTF-8"}};
  document.disabled_guards = get_strings(plan.data, "disabled_guards");
  const SpawnedKeeper spawned = spawn_keeper(call, document, config_fd, lifeline_fd, reserved.lock.get());
  // The bottle's files and its sandbox are made while the sidecar starts: both wait for the kernel more than they work.
  // Only bottle-init runs in it until launch. What fails here fails again in launch, which is asked about the bottle
  // and says so.
  drop_prepared();
  try {
    prepared_ = prepare_bottle(call, plan, lifeline_fd);
  } catch (const std::exception&) {
    prepared_.reset();
  }
  StartedKeeper keeper;
  try {
    keeper = await_keeper(call, spawned);
  } catch (...) {
    drop_prepared();  // on failure nothing is left behind
    throw;
  }
  sdk::Sidecar sidecar;
  sidecar.slug = plan.slug;
  sidecar.control = state + "/control/control.sock";
  sidecar.pid = keeper.init;
  return sidecar;
}

void LocalBackend::drop_prepared() {
  if (!prepared_) return;
  // Its keeper may not hold its lock yet, so by pid: it is our child and not reaped.
  ::kill(prepared_->keeper.pid, SIGTERM);
  reap(prepared_->keeper.pid);
  if (prepared_->reserved.lock) release_uid(prepared_->reserved.uid, prepared_->reserved.lock.get());
  prepared_.reset();
}

sdk::Bottle LocalBackend::launch(const sdk::Call& call, const sdk::Plan& plan, const sdk::LaunchInputs& inputs,
                                 int lifeline_fd) {
  const std::string& state = plan.state_dir;
  if (prepared_ && (prepared_->state_dir != state || prepared_->lifeline != identity_of(lifeline_fd))) drop_prepared();
  if (!prepared_) prepared_ = prepare_bottle(call, plan, lifeline_fd);
  const Prepared prepared = std::move(*prepared_);
  prepared_.reset();
  const StartedKeeper keeper = await_keeper(call, prepared.keeper);
  if (is_root()) open_wire_to_agent(state);
  if (!inputs.ca_pem.empty()) or_throw(add_trusted_ca(state + "/backend/etc", inputs.ca_pem));
  sdk::Bottle bottle = prepared.bottle;
  bottle.data["init"] = keeper.init;
  return bottle;
}

}  // namespace bot_bottle::backend_local
