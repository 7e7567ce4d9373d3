// A bottle's files, its layout and its keeper's document: everything before anything of it runs.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "core/base/paths.hpp"
#include "plugins/backend-local/copy_progress.hpp"
#include "plugins/backend-local/layout.hpp"
#include "plugins/backend-local/local_backend.hpp"
#include "plugins/backend-local/snapshots.hpp"

namespace bot_bottle::backend_local {
namespace {

constexpr std::uint64_t max_files = 65536;

std::uint64_t get_size(const json::object& object, std::string_view key) {
  return static_cast<std::uint64_t>(get_int(object, key, 0));
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

EtcOptions etc_options(const json::object& data) {
  EtcOptions etc;
  etc.user = get_string(data, "user", "agent");
  etc.uid = static_cast<std::uint32_t>(get_int(data, "uid", 1000));
  etc.gid = static_cast<std::uint32_t>(get_int(data, "gid", 1000));
  etc.home = get_string(data, "home");
  if (const json::array* endpoints = find_array(data, "endpoints"))
    for (const json::value& value : *endpoints) etc.names.push_back(get_string(value.as_object(), "name"));
  return etc;
}

}  // namespace

std::pair<dev_t, ino_t> identity_of(int fd) {
  struct stat status {};
  if (fd < 0 || ::fstat(fd, &status) != 0) return {0, 0};
  return {status.st_dev, status.st_ino};
}

void LocalBackend::prepare_home(const sdk::Call& call, const sdk::Plan& plan,
                                const std::optional<std::pair<uid_t, gid_t>>& owner) {
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
  copy_snapshot(call, plan, owner);
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

void LocalBackend::copy_snapshot(const sdk::Call& call, const sdk::Plan& plan,
                                 const std::optional<std::pair<uid_t, gid_t>>& owner) {
  const std::string ref = get_string(plan.data, "snapshot");
  if (ref.empty()) return;
  const SnapshotPlace place = or_throw(find_snapshot_place(host().path(call, "state"), ref));
  for (const char* name : {"home", "workspace"}) {
    const UniqueFd from(::open((place.path + "/" + name).c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!from && errno == ENOENT && name == std::string_view("workspace"))
      continue;  // none, or the operator's own tree
    if (!from) throw Failure(error_from_errno("cannot read the snapshot " + ref, errno));
    const UniqueFd to = open_state_directory(plan.state_dir + "/backend/" + name);
    CopyOptions options;
    options.links = LinkRule::keep;
    options.locked = LockedFiles::opened;
    options.owner = owner;
    options.threads = std::clamp(std::thread::hardware_concurrency(), 2U, 4U);
    options.cancelled = [&call] { return call.cancelled(); };
    options.progress = copy_report(call, "unpacking the snapshot");
    or_throw(copy_tree({from.get(), ""}, {to.get(), ""}, options));
    struct stat status {};
    if (::fstat(from.get(), &status) == 0) ::fchmod(to.get(), status.st_mode & 0777);
  }
}

void LocalBackend::copy_workspace(const sdk::Call& call, const sdk::Plan& plan,
                                  const std::optional<std::pair<uid_t, gid_t>>& owner) {
  if (get_string(plan.data, "workspace_mode") != "copy" || get_bool(plan.data, "reuse", false) ||
      !get_string(plan.data, "snapshot").empty())
    return;
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
  options.progress = copy_report(call, "copying the workspace");
  or_throw(copy_tree({from.get(), ""}, {to.get(), ""}, options));
  struct stat status {};
  if (::fstat(from.get(), &status) == 0) ::fchmod(to.get(), status.st_mode & 0777);
}

LocalBackend::Prepared LocalBackend::prepare_bottle(const sdk::Call& call, const sdk::Plan& plan, int lifeline_fd) {
  const std::string& state = plan.state_dir;
  const std::string backend = state + "/backend";
  const json::object& data = plan.data;
  or_throw(make_directories(backend + "/run", 0700));
  for (const char* name : {"wire", "logs"}) or_throw(make_directories(state + "/" + name, 0700));
  Prepared prepared;
  prepared.state_dir = state;
  prepared.lifeline = identity_of(lifeline_fd);
  KeeperDocument document;
  document.slug = plan.slug;
  document.agent = get_string(data, "agent");
  document.label = get_string(data, "label");
  document.state_dir = state;
  document.bwrap = find_bwrap();
  document.inner_uid = static_cast<std::uint32_t>(get_int(data, "uid", 1000));
  document.inner_gid = static_cast<std::uint32_t>(get_int(data, "gid", 1000));
  std::optional<std::pair<uid_t, gid_t>> owner;
  if (is_root()) {
    prepared.reserved = reserve_for(state, Component::bottle);
    owner = {prepared.reserved.uid, prepared.reserved.uid};
    document.uid = prepared.reserved.uid;
    map_mounted_tree(data, document);
  }
  prepare_home(call, plan, owner);
  copy_workspace(call, plan, owner);
  const EtcResult etc = or_throw(write_bottle_etc(backend + "/etc", etc_options(data)));

  sdk::Bottle& bottle = prepared.bottle;
  document.init = {"/run/bottle/bin/bottle-init", "--report", "/run/bottle/wire/report.sock"};
  std::vector<std::string> selftest{"/run/bottle/bin/bottle-init", "--selftest"};
  if (const json::array* endpoints = find_array(data, "endpoints")) {
    for (const json::value& value : *endpoints) {
      const std::string name = get_string(value.as_object(), "name");
      const std::string port = std::to_string(get_int(value.as_object(), "port", 0));
      const std::string option = name + "=" + port + ":/run/bottle/wire/" + name + ".sock";
      for (auto* list : {&document.init, &selftest}) list->insert(list->end(), {"--endpoint", option});
      bottle.endpoints[name] = "127.0.0.1:" + port;
    }
  }
  struct stat network {};
  if (::stat("/proc/self/ns/net", &network) == 0)
    selftest.insert(selftest.end(), {"--host-network", std::to_string(network.st_ino)});

  BottleLayout layout;
  layout.state_dir = state;
  layout.libexec = host().path(call, "libexec");
  layout.rootfs = get_string(data, "rootfs");
  layout.guest_home = get_string(data, "home");
  layout.workspace_path = get_string(data, "workspace_path");
  layout.workspace_is_operators = get_string(data, "workspace_mode") == "mount";
  layout.workspace_source =
      layout.workspace_is_operators ? get_string(data, "workspace_source") : backend + "/workspace";
  layout.program = program_of(data);
  layout.bind_ro = get_strings(data, "bind_ro");
  layout.etc_binds = etc.binds;
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
  bottle.slug = plan.slug;
  bottle.backend = backend_name;
  bottle.state_dir = state;
  bottle.data = data;
  bottle.extra["selftest"] = to_array(selftest);
  prepared.keeper = spawn_keeper(host(), call, document, -1, lifeline_fd, prepared.reserved.lock.get());
  keepers_.push_back(prepared.keeper.pid);
  return prepared;
}

}  // namespace bot_bottle::backend_local
