// probe and plan: what can be said without touching anything.
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "core/base/clock.hpp"
#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "plugins/backend-driven/plan_parts.hpp"
#include "plugins/backend-local/agent_program.hpp"
#include "plugins/backend-local/keeper_start.hpp"
#include "plugins/backend-local/layout.hpp"
#include "plugins/backend-local/local_backend.hpp"
#include "plugins/backend-local/probe.hpp"
#include "plugins/backend-local/snapshots.hpp"

namespace bot_bottle::backend_local {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t default_processes = 2048;
constexpr std::uint64_t tmp_bytes = std::uint64_t{1} << 30;

std::uint64_t three_quarters_of_memory() {
  struct sysinfo info {};
  if (::sysinfo(&info) != 0) return std::uint64_t{4} << 30;
  return static_cast<std::uint64_t>(info.totalram) * info.mem_unit / 4 * 3;
}

bool may_hold(const std::vector<std::string>& limits, const std::string& name) {
  return std::ranges::find(limits, name) != limits.end();
}

/// What was asked for and cannot be held is an error by its name, never a silent promise (spec 08).
void check_limits(const sdk::Resources& resources, const std::vector<std::string>& limits) {
  const auto check = [&](bool asked, const char* name) {
    if (asked && !may_hold(limits, "limits." + std::string(name)))
      throw sdk::Error(sdk::Status::unsupported, "this machine cannot enforce resources." + std::string(name),
                       "take it out of the bottle, run as root, or start bot-bottle in a delegated cgroup: systemd-run "
                       "--user --scope -p Delegate=yes bot-bottle …");
  };
  check(resources.memory.has_value(), "memory");
  check(resources.cpus.has_value(), "cpus");
  check(resources.pids.has_value(), "pids");
  if (resources.cpus && !(*resources.cpus > 0.009 && *resources.cpus < 100'000))
    throw sdk::Error(sdk::Status::invalid_argument, "resources.cpus must be at least 0.01", "for example cpus: 2");
  if (resources.memory && *resources.memory < (std::uint64_t{16} << 20))
    throw sdk::Error(sdk::Status::invalid_argument, "resources.memory must be at least 16MiB",
                     "for example memory: 4GiB");
  if (resources.pids && *resources.pids < 8)
    throw sdk::Error(sdk::Status::invalid_argument, "resources.pids must be at least 8", "for example pids: 512");
}

/// Where home and workspace come from, when it is not the operator's directory (resume, fork).
void plan_snapshot(const sdk::Spec& spec, const std::string& state_root, sdk::Plan& plan, json::object& data) {
  const json::object* snapshot = find_object(spec.extra, "snapshot");
  if (snapshot == nullptr) return;
  const std::string ref = get_string(*snapshot, "ref");
  if (get_string(*snapshot, "kind") != snapshot_kind)
    throw sdk::Error(sdk::Status::invalid_argument, "the snapshot " + ref + " is not one of the local backend");
  const SnapshotPlace place = or_throw(find_snapshot_place(state_root, ref));
  std::error_code code;
  if (!fs::is_directory(place.path, code)) throw sdk::Error(sdk::Status::not_found, "the snapshot " + ref + " is gone");
  data["snapshot"] = ref;
  plan.summary.push_back("home and workspace: from the snapshot " + ref);
}

void plan_mount(const sdk::Spec& spec, sdk::Plan& plan, const json::object& data) {
  if (get_string(data, "workspace_mode") != "mount") return;
  const std::string source = get_string(data, "workspace_source");
  const MountProtection protection = or_throw(protect_mounted_tree(source, false));
  plan.summary.push_back("workspace: " + source + " itself, read-write, at " + spec.workspace.path);
  plan.warnings.push_back("the agent writes into " + source +
                          " directly: look at what it changed before you run anything there");
}

}  // namespace

sdk::Probe LocalBackend::probe(const sdk::Call& call) {
  const ProbeResult found = probe_machine();
  sdk::Probe probe;
  probe.available = found.available;
  probe.reason = found.reason;
  probe.fix = found.fix;
  probe.features = found.features;
  probe.version = found.version.empty() ? "" : "bubblewrap " + found.version;
  for (const char* program : {"bottle-keeper", "bottle-init"}) {
    const std::string path = host().path(call, "libexec") + "/" + program;
    if (::access(path.c_str(), X_OK) == 0 || !probe.available) continue;
    probe.available = false;
    probe.reason = path + " is missing";
    probe.fix = "install bot-bottle again";
  }
  return probe;
}

sdk::Plan LocalBackend::plan(const sdk::Call& call, const sdk::Spec& spec) {
  const fs::path home = host().path(call, "home");
  const fs::path operator_home = host().path(call, "operator-home");
  const std::vector<std::string> limits = enforceable_limits();
  check_limits(spec.resources, limits);

  sdk::Plan plan;
  plan.slug = spec.slug;
  plan.backend = backend_name;
  plan.state_dir = spec.state_dir;
  plan.wire = "socket";
  json::object data{{"agent", spec.agent},   {"label", spec.label},     {"detached", spec.detached},
                    {"reuse", spec.reuse},   {"user", spec.guest.user}, {"uid", spec.guest.uid},
                    {"gid", spec.guest.gid}, {"home", spec.guest.home}};
  driven::check_guest_path("guest home", spec.guest.home);
  plan.summary.emplace_back("isolation: bubblewrap, no network, own user, process and mount namespaces");

  data["rootfs"] = spec.rootfs;
  if (!spec.rootfs.empty()) {
    const auto rootfs = check_bind(spec.rootfs, operator_home, home);
    if (!rootfs)
      throw sdk::Error(sdk::Status::invalid_argument, "rootfs: " + spec.rootfs + ": " + rootfs.error().message);
    data["rootfs"] = *rootfs;
    plan.summary.push_back("file system: " + *rootfs + " (read-only)");
  } else {
    plan.summary.emplace_back("file system: the host's /usr (read-only), an own /etc, /tmp and home");
  }
  if (!spec.program.empty()) {
    const std::string inside =
        spec.rootfs.empty() ? "" : spec.rootfs + "/usr/local/bin:" + spec.rootfs + "/usr/bin:" + spec.rootfs + "/bin";
    const bool in_rootfs = !inside.empty() && find_agent_program(spec.program, inside, operator_home).has_value();
    if (!in_rootfs) {
      const AgentProgram program = or_throw(find_agent_program(spec.program, spec.search_path, operator_home));
      json::array names;
      for (const auto& [name, path] : program.names) names.push_back(json::array{name, path});
      data["program"] = json::object{{"name", spec.program},
                                     {"path", program.path},
                                     {"links", to_array(program.links)},
                                     {"binds", to_array(program.binds)},
                                     {"names", names}};
      plan.summary.push_back("program: " + program.path);
      for (const std::string& bind : program.binds) plan.summary.push_back("visible (read-only): " + bind);
    }
  }
  std::vector<std::string> binds;
  for (const std::string& path : spec.bind_ro) {
    or_throw(check_bind(path, operator_home, home));
    binds.push_back(path);
    plan.summary.push_back("visible (read-only): " + path);
  }
  data["bind_ro"] = to_array(binds);
  driven::plan_workspace(spec, home, operator_home, plan, data);
  plan_mount(spec, plan, data);
  plan_snapshot(spec, host().path(call, "state"), plan, data);

  json::object resources;
  if (spec.resources.cpus) resources["cpus"] = *spec.resources.cpus;
  // The default keeps the host responsive (attack L); it is set only where it can be.
  if (spec.resources.memory)
    resources["memory"] = *spec.resources.memory;
  else if (may_hold(limits, "limits.memory"))
    resources["default_memory"] = three_quarters_of_memory();
  else
    resources["data"] = three_quarters_of_memory();
  if (may_hold(limits, "limits.pids")) resources["pids"] = spec.resources.pids.value_or(default_processes);
  if (spec.resources.disk) resources["disk"] = *spec.resources.disk;
  resources["tmp"] = std::min<std::uint64_t>(tmp_bytes, spec.resources.disk.value_or(tmp_bytes));
  data["resources"] = std::move(resources);

  data["endpoints"] = driven::plan_endpoints(spec.endpoints);
  data["rules_database"] = get_string(spec.extra, "rules_database");
  data["disabled_guards"] = to_array(driven::plan_disabled_guards(spec));
  plan.control_peer_uids = sidecar_peers();
  plan.data = std::move(data);
  return plan;
}

}  // namespace bot_bottle::backend_local
