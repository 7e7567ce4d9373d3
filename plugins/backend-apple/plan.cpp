// probe and plan: what can be said without changing anything.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "plugins/backend-apple/apple_backend.hpp"
#include "plugins/backend-apple/apple_freezer.hpp"
#include "plugins/backend-apple/images.hpp"
#include "plugins/backend-driven/host_sidecar.hpp"
#include "plugins/backend-driven/plan_parts.hpp"

namespace bot_bottle::backend_apple {
namespace {

namespace fs = std::filesystem;
/// The first of all on a Mac (docker 20, local 50).
constexpr int rank = 10;
constexpr int oldest_macos = 26;
constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;
constexpr std::uint64_t least_memory = 200 * mebibyte;  // the tool's own minimum

void plan_resources(const sdk::Resources& resources, json::object& data) {
  if (resources.disk)
    throw sdk::Error(sdk::Status::unsupported, "container cannot enforce resources.disk",
                     "take resources.disk out of the bottle");
  if (resources.cpus &&
      (*resources.cpus < 1 || *resources.cpus > 1024 || std::floor(*resources.cpus) < *resources.cpus))
    throw sdk::Error(sdk::Status::invalid_argument,
                     "resources.cpus: a machine of container has whole CPUs, at least 1");
  if (resources.memory && *resources.memory < least_memory)
    throw sdk::Error(sdk::Status::invalid_argument, "resources.memory must be at least 200MiB for container");
  if (resources.pids && *resources.pids < 8)
    throw sdk::Error(sdk::Status::invalid_argument, "resources.pids must be at least 8");
  json::object limits;
  if (resources.cpus) limits["cpus"] = static_cast<std::int64_t>(*resources.cpus);
  if (resources.memory) limits["memory_mib"] = *resources.memory / mebibyte;
  if (resources.pids) limits["pids"] = *resources.pids;
  data["resources"] = std::move(limits);
}

/// `--volume SOURCE:TARGET` has no way to quote.
void check_state_path(const std::string& state_dir) {
  if (state_dir.find_first_of(":,") != std::string::npos)
    throw sdk::Error(sdk::Status::invalid_argument,
                     "container cannot mount a socket of " + state_dir + ": the path has a ':' or ','",
                     "set BOT_BOTTLE_HOME to a directory without");
  std::error_code code;
  if (const fs::path real = fs::canonical(state_dir, code); !code && real != fs::path(state_dir))
    throw sdk::Error(sdk::Status::invalid_argument,
                     "container cannot mount a socket by a path with symbolic links: " + state_dir,
                     "set BOT_BOTTLE_HOME to its real path, below " + real.parent_path().parent_path().string());
}

void plan_image(const sdk::Spec& spec, const std::string& dockerfile, const fs::path& home,
                const fs::path& operator_home, const std::string& libexec, sdk::Plan& plan, json::object& data) {
  const driven::Recipe recipe = or_throw(read_apple_recipe(dockerfile, {home, operator_home}));
  data["dockerfile"] = dockerfile;
  data["base_image"] = or_throw(base_image_reference(recipe));
  data["image"] =
      or_throw(agent_image_reference(get_string(data, "base_image"), layer_of(data, libexec), spec.version));
  plan.extra["images"] = true;  // capability-block leads to something here
}

}  // namespace

void check_usable(ContainerTool& tool) {
  const Version& version = tool.version();
  if (version < oldest_version)
    throw sdk::Error(
        sdk::Status::unavailable,
        "container " + to_string(version) +
            " cannot isolate a bottle: before 1.1 neither `--network none` nor a mounted socket works, and "
            "its internal networks still lead to this Mac (apple/container issue 1320)",
        "update container to 1.1 or newer");
  const int macos = tool.macos_major();
  if (macos > 0 && macos < oldest_macos)
    throw sdk::Error(sdk::Status::unavailable,
                     "macOS " + std::to_string(macos) +
                         " gives every machine of container its one network, with the internet and this Mac on it",
                     "update to macOS 26 or newer, or use --backend docker");
  if (macos == 0)
    throw sdk::Error(sdk::Status::unavailable, "the version of macOS is not known: sw_vers does not say it");
  tool.check_service();
}

ContainerTool& AppleBackend::tool(const sdk::Call& call) {
  if (!tool_) tool_ = std::make_unique<ContainerTool>();
  tool_->set_cancel_fd(call.cancel_fd());
  return *tool_;
}

sdk::Probe AppleBackend::probe(const sdk::Call& call) {
  sdk::Probe probe;
  probe.extra["rank"] = rank;
  try {
    ContainerTool& with = tool(call);
    probe.version = "container " + to_string(with.version());
    check_usable(with);
    probe.available = true;
    probe.features = {"detach",     "freeze", "image",  "limits.cpus", "limits.memory", "limits.pids",
                      "own-kernel", "pty",    "resume", "sessions",    "workspace.copy"};
  } catch (const sdk::Error& error) {
    if (error.status == sdk::Status::cancelled) throw;
    probe.reason = error.message;
    probe.fix = error.hint;
  }
  return probe;
}

sdk::Plan AppleBackend::plan(const sdk::Call& call, const sdk::Spec& spec) {
  ContainerTool& with = tool(call);
  check_usable(with);
  const fs::path home = host().path(call, "home");
  const fs::path operator_home = host().path(call, "operator-home");
  if (!spec.rootfs.empty())
    throw sdk::Error(sdk::Status::unsupported, "local.rootfs is the local backend's",
                     "take it out, or use --backend local");
  if (spec.workspace.mode == "mount" || spec.workspace.mode == "bind")
    throw sdk::Error(sdk::Status::unsupported,
                     "workspace: a mounted tree is not offered on apple: what its .git and its auto-run files are "
                     "mounted as could not be tried",
                     "use workspace.mode: copy");
  driven::check_guest_path("guest home", spec.guest.home);
  check_state_path(spec.state_dir);
  if (spec.guest.uid == 0) throw sdk::Error(sdk::Status::invalid_argument, "the agent cannot be root in a bottle");

  sdk::Plan plan;
  plan.slug = spec.slug;
  plan.backend = backend_name;
  plan.state_dir = spec.state_dir;
  plan.wire = "socket";
  json::object data{{"version", spec.version},   {"agent", spec.agent},   {"label", spec.label},
                    {"detached", spec.detached}, {"reuse", spec.reuse},   {"user", spec.guest.user},
                    {"uid", spec.guest.uid},     {"gid", spec.guest.gid}, {"home", spec.guest.home}};
  plan.summary.push_back("isolation: a virtual machine of container " + to_string(with.version()) +
                         ", no network, no capabilities; the sidecar is a confined process of this machine");
  driven::plan_workspace(spec, home, operator_home, plan, data);
  plan_resources(spec.resources, data);
  data["endpoints"] = driven::plan_endpoints(spec.endpoints);
  data["endpoint_names"] = to_array(spec.endpoints);
  data["rules_database"] = get_string(spec.extra, "rules_database");
  data["disabled_guards"] = to_array(driven::plan_disabled_guards(spec));
#ifdef __linux__
  data["life_socket"] = true;  // the sidecar's bottle-init holds it (host_sidecar.hpp)
#endif

  const std::string dockerfile =
      spec.image.dockerfile.empty() ? host().path(call, "plugin") + "/Dockerfile" : spec.image.dockerfile;
  plan_image(spec, dockerfile, home, operator_home, host().path(call, "libexec"), plan, data);
  if (const json::object* snapshot = find_object(spec.extra, "snapshot")) {
    const std::string ref = get_string(*snapshot, "ref");
    if (get_string(*snapshot, "kind") != snapshot_kind)
      throw sdk::Error(sdk::Status::invalid_argument, "the snapshot " + ref + " is not one of the apple backend");
    if (!with.has_own_image(snapshot_reference(ref)))
      throw sdk::Error(sdk::Status::not_found, "the snapshot " + ref + " is gone");
    data["snapshot"] = ref;
    data["image"] = snapshot_reference(ref);  // the committed image wins
    plan.summary.push_back("home and workspace: from the snapshot " + ref);
  }
  plan.summary.push_back("image: " + dockerfile + " as " + get_string(data, "image"));
  plan.control_peer_uids = driven::host_sidecar_peers();
  plan.data = std::move(data);
  return plan;
}

}  // namespace bot_bottle::backend_apple
