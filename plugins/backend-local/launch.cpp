// start_sidecar and launch: the two keepers.
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
constexpr std::uint64_t max_files = 65536;

bool is_root() {
  return ::geteuid() == 0;
}

std::uint64_t get_size(const json::object& object, std::string_view key) {
  return static_cast<std::uint64_t>(get_int(object, key, 0));
}

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

/// As root: a uid for this component, the same as last time when it is free; written down for resume and for copies.
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
    throw sdk::Error(sdk::Status::unavailable, "bwrap (bubblewrap) is not installed", "install the package bubblewrap");
  return path->string();
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

/// As root, for mode mount: the tree is shown to the bottle's uid as its own, and what that writes belongs to the
/// tree's owner on the disk. Nobody is kuid 0 for it, and the bottle's uid stays nobody else's.
void map_mounted_tree(const json::object& data, KeeperDocument& document) {
  if (get_string(data, "workspace_mode") != "mount") return;
  const std::string source = get_string(data, "workspace_source");
  struct stat status {};
  if (::stat(source.c_str(), &status) != 0) throw Failure(error_from_errno("workspace " + source, errno));
  document.idmapped_tree = source;
  document.tree_uid = status.st_uid;
  document.tree_gid = status.st_gid;
}

AgentProgram program_of(const json::object& data) {
  AgentProgram program;
  const json::object* object = find_object(data, "program");
  if (object == nullptr) return program;
  program.path = get_string(*object, "path");
  program.links = get_strings(*object, "links");
  program.binds = get_strings(*object, "binds");
  return program;
}

}  // namespace

UniqueFd open_state_directory(const std::string& path) {
  UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) throw Failure(error_from_errno("cannot open " + path, errno));
  return directory;
}

LocalBackend::StartedKeeper LocalBackend::start_keeper(const sdk::Call& call, const KeeperDocument& document,
                                                       int config_fd, int lifeline_fd, int uid_lock_fd) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw Failure(error_from_errno("cannot make a pipe", errno));
  const UniqueFd status(ends[0]);
  UniqueFd status_write(ends[1]);
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
  status_write.reset();

  std::string line;
  while (line.find('\n') == std::string::npos) {
    std::array<pollfd, 2> polled{{{.fd = status.get(), .events = POLLIN, .revents = 0},
                                  {.fd = call.cancel_fd(), .events = POLLIN, .revents = 0}}};
    if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) break;
    if (polled[1].revents != 0) {
      // Before it holds its lock only its pid names it; it is our child and not reaped yet, so the pid is its own.
      ::kill(pid, SIGTERM);
      or_throw(end_keeper(lock_path(document.state_dir, document.component), std::chrono::seconds(1)));
      reap(pid);
      throw sdk::Error(sdk::Status::cancelled, "cancelled");
    }
    if (polled[0].revents == 0) continue;
    std::array<char, 4096> bytes{};
    const ssize_t got = ::read(status.get(), bytes.data(), bytes.size());
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
    throw sdk::Error(sdk::Status::internal, "bottle-keeper ended without a word",
                     "see " + document.state_dir + "/logs");
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
  const StartedKeeper keeper = start_keeper(call, document, config_fd, lifeline_fd, reserved.lock.get());
  sdk::Sidecar sidecar;
  sidecar.slug = plan.slug;
  sidecar.control = state + "/control/control.sock";
  sidecar.pid = keeper.init;
  return sidecar;
}

void LocalBackend::prepare_home(const sdk::Plan& plan, const std::optional<std::pair<uid_t, gid_t>>& owner) {
  const std::string backend = plan.state_dir + "/backend";
  const bool reuse = get_bool(plan.data, "reuse", false);
  for (const char* name : {"home", "workspace"}) {
    const std::string path = backend + "/" + name;
    if (!reuse) or_throw(remove_tree(path));
    or_throw(make_directories(path, 0755));
    const UniqueFd directory = open_state_directory(path);
    struct stat status {};
    if (owner && ::fstat(directory.get(), &status) == 0 && status.st_uid != owner->first)
      or_throw(change_owner(directory.get(), owner->first, owner->second));
  }
  const json::object* program = find_object(plan.data, "program");
  const json::array* names = program == nullptr ? nullptr : find_array(*program, "names");
  if (names == nullptr || names->empty()) return;
  // "claude" and "node" by their names, wherever the operator has them: ~/.local/bin is on the guest's PATH. On resume
  // the home is hostile: made step by step, through no link.
  const UniqueFd home = open_state_directory(backend + "/home");
  UniqueFd at(::fcntl(home.get(), F_DUPFD_CLOEXEC, 0));
  for (const char* part : {".local", "bin"}) {
    if (::mkdirat(at.get(), part, 0755) == 0 && owner) [[maybe_unused]]
      const int changed = ::fchownat(at.get(), part, owner->first, owner->second, AT_SYMLINK_NOFOLLOW);
    auto next = open_beneath(at.get(), part, O_RDONLY | O_DIRECTORY);
    if (!next) return;  // the agent made something else of it: its own loss
    at = std::move(*next);
  }
  for (const json::value& entry : *names) {
    const json::array* pair = entry.if_array();
    if (pair == nullptr || pair->size() != 2 || !(*pair)[0].is_string() || !(*pair)[1].is_string()) continue;
    const std::string name((*pair)[0].as_string());
    ::unlinkat(at.get(), name.c_str(), 0);
    [[maybe_unused]] const int made = ::symlinkat((*pair)[1].as_string().c_str(), at.get(), name.c_str());
  }
}

void LocalBackend::copy_workspace(const sdk::Call& call, const sdk::Plan& plan,
                                  const std::optional<std::pair<uid_t, gid_t>>& owner) {
  if (get_string(plan.data, "workspace_mode") != "copy" || get_bool(plan.data, "reuse", false)) return;
  const std::string source = get_string(plan.data, "workspace_source");
  const UniqueFd from(::open(source.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!from) throw Failure(error_from_errno("cannot read the workspace " + source, errno));
  const UniqueFd to = open_state_directory(plan.state_dir + "/backend/workspace");
  CopyOptions options;
  options.links = LinkRule::keep;
  options.owner = owner;
  options.threads = std::clamp(std::thread::hardware_concurrency(), 2U, 4U);
  struct stat own {};
  // A workspace that holds our own home (cwd = ~) would copy the copy.
  if (const std::string home = host().path(call, "home"); ::stat(home.c_str(), &own) == 0)
    options.skip.emplace_back(own.st_dev, own.st_ino);
  options.cancelled = [&call] { return call.cancelled(); };
  options.progress = [&call](std::uint64_t count) {
    call.progress("copying the workspace: " + std::to_string(count) + " entries");
  };
  or_throw(copy_tree({from.get(), ""}, {to.get(), ""}, options));
  struct stat status {};
  if (::fstat(from.get(), &status) == 0) ::fchmod(to.get(), status.st_mode & 0777);
}

sdk::Bottle LocalBackend::launch(const sdk::Call& call, const sdk::Plan& plan, const sdk::LaunchInputs& inputs,
                                 int lifeline_fd) {
  const std::string& state = plan.state_dir;
  const std::string backend = state + "/backend";
  const json::object& data = plan.data;
  or_throw(make_directories(backend + "/run", 0700));
  for (const char* name : {"wire", "logs"}) or_throw(make_directories(state + "/" + name, 0700));
  KeeperDocument document;
  document.slug = plan.slug;
  document.agent = get_string(data, "agent");
  document.label = get_string(data, "label");
  document.state_dir = state;
  document.bwrap = find_bwrap();
  document.inner_uid = static_cast<std::uint32_t>(get_int(data, "uid", 1000));
  document.inner_gid = static_cast<std::uint32_t>(get_int(data, "gid", 1000));
  ReservedUid reserved;
  std::optional<std::pair<uid_t, gid_t>> owner;
  if (is_root()) {
    reserved = reserve_for(state, Component::bottle);
    owner = {reserved.uid, reserved.uid};
    document.uid = reserved.uid;
    map_mounted_tree(data, document);
    open_wire_to_agent(state);
  }
  prepare_home(plan, owner);
  copy_workspace(call, plan, owner);

  std::vector<std::string> endpoint_names;
  sdk::Bottle bottle;
  document.init = {"/run/bottle/bin/bottle-init", "--report", "/run/bottle/wire/report.sock"};
  std::vector<std::string> selftest{"/run/bottle/bin/bottle-init", "--selftest"};
  if (const json::array* endpoints = find_array(data, "endpoints")) {
    for (const json::value& value : *endpoints) {
      const std::string name = get_string(value.as_object(), "name");
      const std::string port = std::to_string(get_int(value.as_object(), "port", 0));
      const std::string option = name + "=" + port + ":/run/bottle/wire/" + name + ".sock";
      for (auto* list : {&document.init, &selftest}) list->insert(list->end(), {"--endpoint", option});
      endpoint_names.push_back(name);
      bottle.endpoints[name] = "127.0.0.1:" + port;
    }
  }
  struct stat network {};
  if (::stat("/proc/self/ns/net", &network) == 0)
    selftest.insert(selftest.end(), {"--host-network", std::to_string(network.st_ino)});

  EtcOptions etc;
  etc.user = get_string(data, "user", "agent");
  etc.uid = document.inner_uid;
  etc.gid = document.inner_gid;
  etc.home = get_string(data, "home");
  etc.ca_pem = inputs.ca_pem;
  etc.names = endpoint_names;
  const EtcResult made = or_throw(write_bottle_etc(backend + "/etc", etc));

  BottleLayout layout;
  layout.state_dir = state;
  layout.libexec = host().path(call, "libexec");
  layout.rootfs = get_string(data, "rootfs");
  layout.guest_home = etc.home;
  layout.workspace_path = get_string(data, "workspace_path");
  layout.workspace_is_operators = get_string(data, "workspace_mode") == "mount";
  layout.workspace_source =
      layout.workspace_is_operators ? get_string(data, "workspace_source") : backend + "/workspace";
  layout.program = program_of(data);
  layout.bind_ro = get_strings(data, "bind_ro");
  layout.etc_binds = made.binds;
  const json::object* resources = find_object(data, "resources");
  const json::object none;
  if (resources == nullptr) resources = &none;
  if (const std::uint64_t tmp = get_size(*resources, "tmp"); tmp > 0) layout.tmp_bytes = tmp;
  std::vector<std::string> made_in_tree;
  if (layout.workspace_is_operators) {
    const MountProtection protection = or_throw(protect_mounted_tree(layout.workspace_source, true));
    document.must_stay_absent = protection.must_stay_absent;
    made_in_tree = protection.made;
    or_throw(write_file_fast(backend + "/made.json", to_text(to_array(made_in_tree))));
  }
  document.steps = or_throw(bottle_steps(layout));

  const auto add_option = [&](const char* option, std::uint64_t value) {
    if (value > 0) document.init.insert(document.init.end(), {option, std::to_string(value)});
  };
  add_option("--max-processes", get_size(*resources, "pids"));
  add_option("--max-data", get_size(*resources, "data"));
  add_option("--max-files", max_files);
  for (const std::string& path :
       {layout.guest_home, layout.workspace_path, std::string("/tmp"), std::string("/dev"), std::string("/proc")})
    document.init.insert(document.init.end(), {"--writable", path});
  if (resources->contains("cpus")) document.limits.cpus = resources->at("cpus").to_number<double>();
  if (const std::uint64_t memory = std::max(get_size(*resources, "memory"), get_size(*resources, "default_memory"));
      memory > 0)
    document.limits.memory = memory;
  if (const std::uint64_t pids = get_size(*resources, "pids"); pids > 0) document.limits.pids = pids;
  document.disk_bytes = get_size(*resources, "disk");
  document.measured = {backend + "/home"};
  if (!layout.workspace_is_operators) document.measured.push_back(backend + "/workspace");
  document.disabled_guards = get_strings(data, "disabled_guards");
#ifdef BB_TEST_HOOKS
  const auto is_off = [&](const char* guard) {
    return std::ranges::find(document.disabled_guards, guard) != document.disabled_guards.end();
  };
  if (is_off("caps")) document.init.emplace_back("--keep-capabilities");
  if (is_off("netns")) document.init.emplace_back("--tolerate-no-listeners");
#endif
  const StartedKeeper keeper = start_keeper(call, document, -1, lifeline_fd, reserved.lock.get());

  bottle.slug = plan.slug;
  bottle.backend = backend_name;
  bottle.state_dir = state;
  bottle.data = data;
  bottle.data["init"] = keeper.init;
  bottle.extra["selftest"] = to_array(selftest);
  return bottle;
}

}  // namespace bot_bottle::backend_local
