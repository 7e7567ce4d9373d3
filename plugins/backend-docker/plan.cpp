// probe and plan: what can be said without changing anything.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "core/base/json.hpp"
#include "core/base/paths.hpp"
#include "core/base/text.hpp"
#include "plugins/backend-docker/docker_backend.hpp"
#include "plugins/backend-docker/docker_freezer.hpp"
#include "plugins/backend-docker/find_engine.hpp"
#include "plugins/backend-docker/images.hpp"
#include "plugins/backend-driven/plan_parts.hpp"

namespace bot_bottle::backend_docker {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t default_processes = 2048;
/// Before local (50): an engine's bottle has a root file system of its own.
constexpr int rank = 20;
/// Uids of sidecars where the operator is root: nobody's, and one for each state directory.
constexpr std::uint32_t sidecar_uids = 0x42000000;

void check_limits(const sdk::Resources& resources, const std::vector<std::string>& limits) {
  const auto check = [&](bool asked, const char* name) {
    if (asked && std::ranges::find(limits, "limits." + std::string(name)) == limits.end())
      throw sdk::Error(sdk::Status::unsupported, "this engine cannot enforce resources." + std::string(name),
                       "take it out of the bottle");
  };
  check(resources.memory.has_value(), "memory");
  check(resources.cpus.has_value(), "cpus");
  check(resources.pids.has_value(), "pids");
  check(resources.disk.has_value(), "disk");
  if (resources.cpus && !(*resources.cpus > 0.009 && *resources.cpus < 100'000))
    throw sdk::Error(sdk::Status::invalid_argument, "resources.cpus must be at least 0.01");
  if (resources.memory && *resources.memory < (std::uint64_t{16} << 20))
    throw sdk::Error(sdk::Status::invalid_argument, "resources.memory must be at least 16MiB");
  if (resources.pids && *resources.pids < 8)
    throw sdk::Error(sdk::Status::invalid_argument, "resources.pids must be at least 8");
}

/// For mode mount: what the agent writes belongs to the tree's owner.
void plan_mount(sdk::Plan& plan, json::object& data) {
  if (get_string(data, "workspace_mode") != "mount") return;
  const fs::path source = get_string(data, "workspace_source");
  struct stat status {};
  if (::stat(source.c_str(), &status) != 0 || status.st_uid == 0)
    throw sdk::Error(sdk::Status::unsupported,
                     "workspace: " + source.string() +
                         " belongs to root, and the agent in a container would have to be root "
                         "to write there",
                     "use workspace = \"copy\", or give the directory to an ordinary user");
  data["uid"] = status.st_uid;
  data["gid"] = status.st_gid;
  plan.summary.push_back("workspace: " + source.string() + " itself, read-write, at " +
                         get_string(data, "workspace_path") + "; its .git read-only");
  plan.warnings.push_back("the agent writes into " + source.string() +
                          " directly: look at what it changed before you run anything there");
}

/// The runtime and the wire, by what the bottle asks for and what the engine has.
void plan_walls(const json::object& options, const EngineFacts& facts, sdk::Plan& plan, json::object& data) {
  // What a bottle does not say, the operator may say for all of them.
  const std::string name_asked = get_string(options, "runtime");
  const std::string wire_asked = get_string(options, "wire");
  std::string name = name_asked.empty() ? environment("BOT_BOTTLE_DOCKER_RUNTIME").value_or("") : name_asked;
  const std::string wire = wire_asked.empty() ? environment("BOT_BOTTLE_DOCKER_WIRE").value_or("") : wire_asked;
  if (name.empty()) {
    name = facts.default_runtime;
    for (const EngineFacts::Runtime& runtime : facts.runtimes)
      if (runtime.name == "runsc" && (runtime.shares_sockets || runtime.has_network)) name = "runsc";
  }
  const EngineFacts::Runtime* runtime = facts.find_runtime(name);
  if (runtime == nullptr)
    throw sdk::Error(sdk::Status::not_found, "the engine has no runtime '" + name + "'",
                     "docker.runtime: one of those of `docker info`");
  plan.wire = !wire.empty() ? wire : runtime->shares_sockets ? "socket" : "address";
  if (plan.wire != "socket" && plan.wire != "address")
    throw sdk::Error(sdk::Status::invalid_argument, "docker.wire: '" + wire + "' is neither socket nor address");
  if (plan.wire == "socket" && !runtime->shares_sockets)
    throw sdk::Error(
        sdk::Status::unsupported, "the runtime '" + name + "' cannot share a socket with a bottle",
        "register it with runtimeArgs [\"--host-uds=open\"] (before 2023: \"--fsgofer-host-uds\"), or take "
        "docker.wire: address");
  if (plan.wire == "address" && !runtime->has_network)
    throw sdk::Error(sdk::Status::unsupported,
                     "the runtime '" + name + "' is registered with --network=none: it has no address wire",
                     "register another one with --network=host or sandbox and name it in docker.runtime");
  if (plan.wire == "address" && runtime->host_sockets)
    plan.warnings.push_back(
        "the runtime '" + name +
        "' works on the host's sockets (--network=host): where a blocking read says EAGAIN (runsc "
        "of 2022) the self-test stops the launch; register it with its own stack (no --network), or "
        "take docker.wire: socket");
  data["runtime"] = name;
  data["own_kernel"] = runtime->gvisor;
  data["host_sockets"] = plan.wire == "address" && runtime->host_sockets;
  plan.summary.push_back(std::string("isolation: a container, ") +
                         (runtime->gvisor ? "gVisor (" + name + "): a kernel of its own" : "runtime " + name) +
                         (plan.wire == "socket" ? ", no network" : ", one address: the sidecar's") +
                         ", no capabilities, an allow-list of system calls");
}

}  // namespace

std::string engine_socket(const std::string& operator_home) {
  return or_throw(find_engine([](const std::string& name) { return environment(name); }, operator_home)).socket;
}

DockerBackend::~DockerBackend() {
  try {
    drop_preparation();
  } catch (const std::exception&) {
    stream_.reset();  // nobody is left to tell: cleanup finds what stayed
  }
}

Engine& DockerBackend::engine(const sdk::Call& call) {
  if (!engine_) engine_ = std::make_unique<Engine>(engine_socket(host().path(call, "operator-home")));
  engine_->set_cancel_fd(call.cancel_fd());
  return *engine_;
}

const EngineFacts& DockerBackend::facts(const sdk::Call& call) {
  if (!facts_) {
    const json::value info = engine(call).call("GET", "/info");
    if (!info.is_object()) throw sdk::Error(sdk::Status::unavailable, "the container engine does not describe itself");
    facts_ = read_facts(info.as_object());
  }
  if (!facts_->problem.empty()) throw sdk::Error(sdk::Status::unavailable, facts_->problem, facts_->fix);
  return *facts_;
}

sdk::Probe DockerBackend::probe(const sdk::Call& call) {
  sdk::Probe probe;
  probe.extra["rank"] = rank;
  try {
    const EngineFacts& found = facts(call);
    probe.available = true;
    probe.version = "engine " + found.version;
    probe.features = {"detach", "sessions", "resume", "workspace.copy", "workspace.mount", "image"};
    probe.features.insert(probe.features.end(), found.limits.begin(), found.limits.end());
    for (const EngineFacts::Runtime& runtime : found.runtimes)
      if (runtime.gvisor) probe.features.push_back("gvisor");
  } catch (const sdk::Error& error) {
    if (error.status == sdk::Status::cancelled) throw;
    probe.reason = error.message;
    probe.fix = error.hint;
  } catch (const Failure& failure) {
    probe.reason = failure.error().message;
    probe.fix = failure.error().hint;
  }
  std::ranges::sort(probe.features);
  probe.features.erase(std::unique(probe.features.begin(), probe.features.end()), probe.features.end());
  return probe;
}

sdk::Plan DockerBackend::plan(const sdk::Call& call, const sdk::Spec& spec) {
  const EngineFacts& found = facts(call);
  const fs::path home = host().path(call, "home");
  const fs::path operator_home = host().path(call, "operator-home");
  check_limits(spec.resources, found.limits);
  if (!spec.rootfs.empty())
    throw sdk::Error(sdk::Status::unsupported, "local.rootfs is the local backend's",
                     "take it out, or use --backend local");
  driven::check_guest_path("guest home", spec.guest.home);

  sdk::Plan plan;
  plan.slug = spec.slug;
  plan.backend = backend_name;
  plan.state_dir = spec.state_dir;
  json::object data{{"version", spec.version},        {"agent", spec.agent},   {"label", spec.label},
                    {"detached", spec.detached},      {"reuse", spec.reuse},   {"user", spec.guest.user},
                    {"uid", spec.guest.uid},          {"gid", spec.guest.gid}, {"home", spec.guest.home},
                    {"socket", engine(call).socket()}};
  const json::object none;
  const json::object* options = find_object(spec.extra, "docker");
  plan_walls(options == nullptr ? none : *options, found, plan, data);
  data["wire"] = plan.wire;
  driven::plan_workspace(spec, home, operator_home, plan, data);
  plan_mount(plan, data);
  // The agent's uid is another one outside there, and a tree's owner has none inside.
  if (found.user_namespaces && get_string(data, "workspace_mode") == "mount")
    throw sdk::Error(sdk::Status::unsupported,
                     "workspace: this engine remaps uids (userns-remap): the agent could not write the mounted tree",
                     "use workspace.mode: copy");
  if (data.at("uid").to_number<std::uint32_t>() == 0)
    throw sdk::Error(sdk::Status::invalid_argument, "the agent cannot be root in a container");

  json::object resources;
  if (spec.resources.cpus) resources["cpus"] = *spec.resources.cpus;
  if (spec.resources.memory) resources["memory"] = *spec.resources.memory;
  resources["pids"] = spec.resources.pids.value_or(default_processes);
  data["resources"] = std::move(resources);

  data["endpoints"] = driven::plan_endpoints(spec.endpoints);
  data["endpoint_names"] = to_array(spec.endpoints);

  const std::string dockerfile =
      spec.image.dockerfile.empty() ? host().path(call, "plugin") + "/Dockerfile" : spec.image.dockerfile;
  const driven::Recipe recipe =
      or_throw(driven::read_recipe(dockerfile, {home, operator_home}, driven::Builder::plain));
  const std::string libexec = host().path(call, "libexec");
  data["dockerfile"] = dockerfile;
  data["recipe"] = dockerfile == spec.state_dir + "/recipe/Dockerfile";
  plan.extra["images"] = true;  // capability-block leads to something here
  data["image"] = or_throw(agent_image_tag(recipe, layer_of(data, libexec), spec.version));
  data["with_git"] = std::ranges::find(spec.endpoints, "git-gate") != spec.endpoints.end();
  data["sidecar_image"] =
      sidecar_image_tag({libexec, host().path(call, "share"), get_bool(data, "with_git", false)}, spec.version);
  if (const json::object* snapshot = find_object(spec.extra, "snapshot")) {
    const std::string ref = get_string(*snapshot, "ref");
    if (get_string(*snapshot, "kind") != snapshot_kind)
      throw sdk::Error(sdk::Status::invalid_argument, "the snapshot " + ref + " is not one of the docker backend");
    const std::string tag = snapshot_tag(ref);
    if (!has_own_image(engine(call), tag)) throw sdk::Error(sdk::Status::not_found, "the snapshot " + ref + " is gone");
    data["snapshot"] = ref;
    data["image"] = tag;  // the committed image wins
    plan.summary.push_back("home and workspace: from the snapshot " + ref);
  }
  plan.summary.push_back("image: " + dockerfile + " as " + get_string(data, "image"));

  // Root's sidecars have uids that are nobody's; an ordinary operator cannot give files away, so theirs has their own.
  const bool root = ::geteuid() == 0;
  const auto hash = static_cast<std::uint32_t>(std::stoul(sha256_hex(spec.state_dir).substr(0, 6), nullptr, 16));
  data["sidecar_uid"] = root ? sidecar_uids + hash : ::geteuid();
  data["sidecar_gid"] = root ? sidecar_uids + hash : ::getegid();
  data["user_namespaces"] = found.user_namespaces;
  data["rules_database"] = get_string(spec.extra, "rules_database");
  data["disabled_guards"] = to_array(driven::plan_disabled_guards(spec));
  plan.control_peer_uids = {::geteuid()};
  plan.data = std::move(data);
  return plan;
}

}  // namespace bot_bottle::backend_docker
