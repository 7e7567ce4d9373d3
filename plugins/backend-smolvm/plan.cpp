// probe and plan: what can be said without changing anything.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "core/base/paths.hpp"
#include "core/base/text.hpp"
#include "plugins/backend-driven/host_sidecar.hpp"
#include "plugins/backend-driven/machine_record.hpp"
#include "plugins/backend-driven/plan_parts.hpp"
#include "plugins/backend-driven/wire_sockets.hpp"
#include "plugins/backend-smolvm/address_wire.hpp"
#include "plugins/backend-smolvm/image.hpp"
#include "plugins/backend-smolvm/smolvm_backend.hpp"

namespace bot_bottle::backend_smolvm {
namespace {

namespace fs = std::filesystem;
/// Between docker (20) and local (50).
constexpr int rank = 30;
constexpr std::uint64_t default_processes = 2048;
constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;
constexpr std::uint64_t gibibyte = std::uint64_t{1} << 30;
constexpr std::uint64_t least_memory = 512 * mebibyte;
/// sun_path of macOS is the shorter one, with its end.
constexpr std::size_t max_socket_path = 103;

/// A port of a loopback address is every local user's, and says nobody's name.
constexpr const char* shared_address_warning =
    "smolvm before 1.7: other users of this machine can use this bottle's way out, with its credentials, while it "
    "runs, "
    "and read its image while it is made; install smolvm 1.7.0 or newer, which closes it";

struct Problem {
  std::string reason;
  std::string fix;
};

/// smolvm has no other way than the kernel's: without KVM a machine cannot be started at all.
std::optional<Problem> hypervisor_problem() {
#ifdef __linux__
  std::string device = "/dev/kvm";
#ifdef BB_TEST_HOOKS
  device = environment("BB_KVM_DEVICE").value_or(device);
#endif
  if (::access(device.c_str(), R_OK | W_OK) == 0) return std::nullopt;
  if (errno == ENOENT)
    return Problem{"there is no " + device + ": this machine has no hardware virtualization, or it is switched off",
                   "switch it on in the firmware; inside a cloud machine ask for nested virtualization"};
  return Problem{device + " cannot be opened: " + std::strerror(errno),
                 "sudo usermod -aG kvm $USER, then log in again"};
#else
  return std::nullopt;
#endif
}

void check_resources(const sdk::Resources& resources, json::object& data) {
  if (resources.cpus) {
    if (*resources.cpus < 1 || *resources.cpus > 255 || std::floor(*resources.cpus) != *resources.cpus)
      throw sdk::Error(sdk::Status::invalid_argument, "resources.cpus: a machine has whole processors, 1 to 255",
                       "for example cpus: 2");
    data["cpus"] = static_cast<std::int64_t>(*resources.cpus);
  }
  if (resources.memory) {
    if (*resources.memory < least_memory)
      throw sdk::Error(sdk::Status::invalid_argument, "resources.memory: a machine has at least 512MiB",
                       "for example memory: 4GiB");
    data["memory_mib"] = static_cast<std::int64_t>(*resources.memory / mebibyte);
  }
  if (resources.disk) {
    if (*resources.disk < gibibyte)
      throw sdk::Error(sdk::Status::invalid_argument, "resources.disk: a machine has at least 1GiB",
                       "for example disk: 10GiB");
    data["disk_gib"] = static_cast<std::int64_t>(*resources.disk / gibibyte);
  }
  if (resources.pids && *resources.pids < 8)
    throw sdk::Error(sdk::Status::invalid_argument, "resources.pids must be at least 8", "for example pids: 512");
  data["pids"] = resources.pids.value_or(default_processes);
}

/// Where the image comes from: a snapshot, the operator's word, or a recipe that docker builds.
void plan_image(const sdk::Spec& spec, const std::string& state_root, const std::string& default_recipe,
                const std::vector<fs::path>& homes, sdk::Plan& plan, json::object& data) {
  if (const json::object* snapshot = find_object(spec.extra, "snapshot")) {
    const std::string ref = get_string(*snapshot, "ref");
    if (get_string(*snapshot, "kind") != snapshot_kind)
      throw sdk::Error(sdk::Status::invalid_argument, "the snapshot " + ref + " is not one of the smolvm backend");
    const std::string path = snapshot_image(state_root, ref);
    std::error_code code;
    if (!fs::is_regular_file(path, code)) throw sdk::Error(sdk::Status::not_found, "the snapshot " + ref + " is gone");
    data["archive"] = path;
    data["snapshot"] = ref;
    plan.summary.push_back("home and workspace: from the snapshot " + ref);
    return;
  }
  if (const auto given = environment("BOT_BOTTLE_SMOLVM_IMAGE"); given && !given->empty()) {
    std::error_code code;
    if (!given->starts_with('/') || !fs::is_regular_file(*given, code))
      throw sdk::Error(sdk::Status::not_found, "BOT_BOTTLE_SMOLVM_IMAGE: " + *given + " is not the path of a file",
                       "docker save -o /some/where/agent.tar IMAGE");
    data["archive"] = *given;
    plan.summary.push_back("image: " + *given);
    return;
  }
  const std::string recipe = spec.image.dockerfile.empty() ? default_recipe : spec.image.dockerfile;
  if (!find_program("docker", environment("PATH").value_or("/usr/local/bin:/usr/bin:/bin")))
    throw sdk::Error(sdk::Status::unavailable, "smolvm builds no images, and there is no docker to build " + recipe,
                     "install docker, or name an archive of `docker save` in BOT_BOTTLE_SMOLVM_IMAGE");
  static_cast<void>(or_throw(read_machine_recipe(recipe, homes)));
  data["dockerfile"] = recipe;
  plan.summary.push_back("image: " + recipe + ", built by docker");
}

}  // namespace

Machines& SmolvmBackend::machines(const sdk::Call& call) {
  if (!machines_) machines_.emplace(find_smolvm(), call.cancel_fd());
  machines_->set_cancel_fd(call.cancel_fd());
  return *machines_;
}

sdk::Probe SmolvmBackend::probe(const sdk::Call& call) {
  sdk::Probe probe;
  probe.extra["rank"] = rank;
  try {
    Machines& with = machines(call);
    probe.version = "smolvm " + to_text(with.version());
    const Abilities& can = with.abilities();
    if (const auto problem = hypervisor_problem()) {
      probe.reason = problem->reason;
      probe.fix = problem->fix;
      return probe;
    }
    for (const char* program : {"bottle-init", "bottle-driven", "bot-bottle-sidecar"})
      if (const std::string path = host().path(call, "libexec") + "/" + program; ::access(path.c_str(), X_OK) != 0)
        throw sdk::Error(sdk::Status::unavailable, path + " is missing", "install bot-bottle again");
    probe.available = true;
    probe.features = {"detach",        "freeze",      "image",
                      "limits.cpus",   "limits.disk", "limits.memory",
                      "limits.pids",   "own-kernel",  "pty",
                      "resume",        "sessions",    can.has_socket_wire ? "wire.socket" : "wire.address",
                      "workspace.copy"};
  } catch (const sdk::Error& error) {
    if (error.status == sdk::Status::cancelled) throw;
    probe.reason = error.message;
    probe.fix = error.hint;
  }
  return probe;
}

sdk::Plan SmolvmBackend::plan(const sdk::Call& call, const sdk::Spec& spec) {
  Machines& with = machines(call);
  const Abilities& can = with.abilities();
  const fs::path home = host().path(call, "home");
  if (const auto problem = hypervisor_problem())
    throw sdk::Error(sdk::Status::unavailable, problem->reason, problem->fix);
  if (!spec.rootfs.empty())
    throw sdk::Error(sdk::Status::unsupported, "local.rootfs is the local backend's",
                     "take it out, or use --backend local");
  driven::check_guest_path("guest home", spec.guest.home);
  if (spec.guest.uid == 0) throw sdk::Error(sdk::Status::invalid_argument, "the agent cannot be root in a machine");

  sdk::Plan plan;
  plan.slug = spec.slug;
  plan.backend = backend_name;
  plan.state_dir = spec.state_dir;
  plan.wire = can.has_socket_wire ? "socket" : "address";
  json::object data{{"version", spec.version},   {"smolvm", to_text(with.version())},
                    {"agent", spec.agent},       {"label", spec.label},
                    {"detached", spec.detached}, {"reuse", spec.reuse},
                    {"user", spec.guest.user},   {"uid", spec.guest.uid},
                    {"gid", spec.guest.gid},     {"home", spec.guest.home},
                    {"wire", plan.wire}};
  plan.summary.push_back("isolation: a virtual machine (smolvm " + to_text(with.version()) + "), " +
                         (can.has_socket_wire ? "no network" : "one address: the sidecar's"));
  if (const std::vector<int> ports = can.has_socket_wire ? std::vector<int>{} : ports_on_all_addresses();
      !ports.empty()) {
    std::string list;
    for (const int port : ports) list += (list.empty() ? "" : ", ") + std::to_string(port);
    plan.warnings.push_back(
        "smolvm before 1.7 opens an address, not a port: the agent reaches what of this machine "
        "listens on all addresses (ports " +
        list + "); install smolvm 1.7.0 or newer");
  }
  if (!can.has_socket_wire) plan.warnings.emplace_back(shared_address_warning);
  driven::plan_workspace(spec, home, host().path(call, "operator-home"), plan, data);
  if (get_string(data, "workspace_mode") == "mount")
    throw sdk::Error(
        sdk::Status::unsupported,
        "workspace.mode: mount: files of a mounted tree that run by themselves on this machine could not be "
        "kept from the agent in a virtual machine",
        "use workspace.mode: copy");
  check_resources(spec.resources, data);
  data["endpoints"] = driven::plan_endpoints(spec.endpoints);
  data["endpoint_names"] = to_array(spec.endpoints);
  if (can.has_socket_wire)
    for (const std::string name : {"supervise.sock", "egress.sock", "git-gate.sock", "life.sock"})
      if (const std::string path = driven::socket_directory(spec.state_dir) + "/" + name; path.size() > max_socket_path)
        throw sdk::Error(
            sdk::Status::invalid_argument,
            "the path of the socket " + path + " is longer than " + std::to_string(max_socket_path) + " octets",
            "use a shorter name, or a BOT_BOTTLE_HOME that is not so deep");
#ifdef __linux__
  data["life_socket"] = can.has_socket_wire;  // the sidecar's bottle-init holds it (host_sidecar.hpp)
#endif
  plan_image(spec, host().path(call, "state"), host().path(call, "plugin") + "/Dockerfile",
             {home, host().path(call, "operator-home")}, plan, data);
  data["rules_database"] = get_string(spec.extra, "rules_database");
  data["disabled_guards"] = to_array(driven::plan_disabled_guards(spec));
  data["name"] = driven::machine_name(spec.state_dir);
  plan.control_peer_uids = driven::host_sidecar_peers();
  plan.data = std::move(data);
  return plan;
}

}  // namespace bot_bottle::backend_smolvm
