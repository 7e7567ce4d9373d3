// build, start_sidecar and launch.
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "core/base/clock.hpp"
#include "core/base/file.hpp"
#include "core/base/paths.hpp"
#include "core/base/safe_path.hpp"
#include "core/base/text.hpp"
#include "plugins/backend-driven/guest_files.hpp"
#include "plugins/backend-driven/host_sidecar.hpp"
#include "plugins/backend-driven/machine_record.hpp"
#include "plugins/backend-driven/plan_parts.hpp"
#include "plugins/backend-driven/wire_sockets.hpp"
#include "plugins/backend-smolvm/address_wire.hpp"
#include "plugins/backend-smolvm/build_cache.hpp"
#include "plugins/backend-smolvm/image.hpp"
#include "plugins/backend-smolvm/labels.hpp"
#include "plugins/backend-smolvm/registry.hpp"
#include "plugins/backend-smolvm/smolvm_backend.hpp"

namespace bot_bottle::backend_smolvm {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
constexpr auto build_call = 60min;
constexpr auto save_call = 20min;
constexpr auto ready_within = 90s;  // a machine's agent answers within seconds; a loaded host takes longer
constexpr auto set_up_call = 60s;
constexpr auto first_pause = 50ms;
constexpr auto longest_pause = 1s;
constexpr int max_files = 65536;

std::optional<std::int64_t> number_of(const json::object& data, std::string_view key) {
  const std::int64_t value = get_int(data, key, 0);
  return value > 0 ? std::optional(value) : std::nullopt;
}

json::object make_record(const sdk::Plan& plan, const Abilities& can) {
  // One that was made by a version without labels stays without them when the program is renewed.
  const auto before = driven::load_record(plan.state_dir);
  return {{record_labels, before ? get_bool(*before, record_labels, false) : can.has_labels},
          {record_made, before && get_bool(*before, record_made, false)},
          {"backend", backend_name},
          {"name", driven::machine_name(plan.state_dir)},
          {"smolvm", get_string(plan.data, "smolvm")},
          {"wire", plan.wire},
          {"agent", get_string(plan.data, "agent")},
          {"label", get_string(plan.data, "label")},
          {"endpoints", to_array(get_strings(plan.data, "endpoint_names"))},
          {"started_at", format_time(now_ms())}};
}

std::string address_of(const std::string& state_dir) {
  const auto record = driven::load_record(state_dir);
  return record ? get_string(*record, "address") : std::string();
}

/// bottle-init as the machine's workload: root until everything listens, then the agent's user for ever.
std::vector<std::string> init_command(const json::object& data, const std::string& address) {
  std::vector<std::string> argv{init_in_machine, "--exec-abstract", "--filter"};
  for (const std::string& option : endpoint_options(data, address)) argv.insert(argv.end(), {"--endpoint", option});
  if (get_bool(data, "life_socket", false))
    argv.insert(argv.end(), {"--lifeline", std::string(wire_in_machine) + "/life.sock"});
  if (!address.empty()) argv.insert(argv.end(), {"--report", "tcp:" + address + ":" + std::to_string(report_port)});
  argv.insert(argv.end(), {"--uid", std::to_string(get_int(data, "uid", 1000)), "--gid",
                           std::to_string(get_int(data, "gid", 1000)), "--max-processes",
                           std::to_string(get_int(data, "pids", 2048)), "--max-files", std::to_string(max_files)});
  for (const std::string& path : {get_string(data, "home"), get_string(data, "workspace_path"), std::string("/tmp"),
                                  std::string("/dev"), std::string("/proc")})
    argv.insert(argv.end(), {"--writable", path});
  return argv;
}

/// Beside the endpoints: what bottle-init follows to its end.
std::vector<std::string> mounted_sockets(const json::object& data) {
  std::vector<std::string> names = get_strings(data, "endpoint_names");
  if (get_bool(data, "life_socket", false)) names.emplace_back("life");
  return names;
}

/// The machine's image of a snapshot: what the agent made once more, for one launch. Not in the cache, which outlives
/// the bottle.
class SnapshotImage {
 public:
  explicit SnapshotImage(const std::string& state_dir) : directory_(state_dir + "/backend/snapshot") {}
  SnapshotImage(const SnapshotImage&) = delete;
  SnapshotImage& operator=(const SnapshotImage&) = delete;
  ~SnapshotImage() {
    if (!is_kept_) static_cast<void>(remove_tree(directory_));
  }
  [[nodiscard]] std::string path() const { return directory_ + "/image.tar"; }
  /// Without what a launch that was killed has left.
  void clear() {
    or_throw(remove_tree(directory_));
    or_throw(make_directories(directory_, 0700));
  }
  void keep() { is_kept_ = true; }

 private:
  std::string directory_;
  bool is_kept_ = false;
};

/// What build has noted.
std::string built_image(const sdk::Plan& plan, const std::string& cache) {
  const auto digest = read_file(plan.state_dir + "/backend/image", 256);
  if (!digest) throw sdk::Error(sdk::Status::failed_precondition, "the image of " + plan.slug + " was not built");
  return cached_image(cache, *digest);
}

/// The recipe's image by docker's own program, as an archive at `to`. Docker gets the text that was read, beside `to`,
/// and of directories the one that was looked at, or an empty one.
void build_with_docker(const sdk::Call& call, const driven::Recipe& recipe, const std::string& to) {
  const auto path = find_program("docker", environment("PATH").value_or("/usr/local/bin:/usr/bin:/bin"));
  if (!path)
    throw sdk::Error(sdk::Status::unavailable,
                     "smolvm builds no images, and there is no docker to build " + recipe.dockerfile,
                     "install docker, or name an archive of `docker save` in BOT_BOTTLE_SMOLVM_IMAGE");
  const driven::Tool docker(path->string(),
                            driven::tool_environment({"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"}));
  const std::string tag = "bot-bottle/machine:" + or_throw(driven::recipe_digest(recipe)).substr(0, 16);
  call.progress("building the image of " + recipe.dockerfile);
  const std::string ours = to + ".build";
  or_throw(make_directories(ours + "/empty", 0700));
  try {
    or_throw(write_file_fast(ours + "/Dockerfile", recipe.text, 0600));
    driven::ToolRun build;
    build.arguments = {"build",
                       "--quiet",
                       "--tag",
                       tag,
                       "--file",
                       ours + "/Dockerfile",
                       recipe.context.empty() ? ours + "/empty" : recipe.context.string()};
    build.deadline = build_call;
    static_cast<void>(docker.run_or_throw(build, call.cancel_fd(), "build the image of " + recipe.dockerfile));
  } catch (...) {
    static_cast<void>(remove_tree(ours));
    throw;
  }
  static_cast<void>(remove_tree(ours));
  driven::ToolRun save;
  save.arguments = {"save", "--output", to, tag};
  save.deadline = save_call;
  static_cast<void>(docker.run_or_throw(save, call.cancel_fd(), "take the image out of docker"));
}

}  // namespace

void SmolvmBackend::build(const sdk::Call& call, const sdk::Plan& plan) {
  if (get_bool(plan.data, "reuse", false) && driven::load_record(plan.state_dir) &&
      machines(call).find(driven::machine_name(plan.state_dir)))
    return;
  const MachineLayer layer{.init = host().path(call, "libexec") + "/bottle-init",
                           .home = get_string(plan.data, "home"),
                           .workspace = get_string(plan.data, "workspace_path"),
                           .uid = static_cast<std::uint32_t>(get_int(plan.data, "uid", 1000)),
                           .gid = static_cast<std::uint32_t>(get_int(plan.data, "gid", 1000))};
  if (!get_string(plan.data, "snapshot").empty()) {
    SnapshotImage image(plan.state_dir);
    image.clear();
    call.progress("making the machine's image");
    or_throw(write_machine_archive(or_throw(read_image_archive(get_string(plan.data, "archive"))), layer, image.path(),
                                   disk_reserve));
    image.keep();
    return;
  }
  const std::string cache = host().path(call, "cache");
  const BuildCache held = or_throw(BuildCache::open(cache));
  std::string archive = get_string(plan.data, "archive");
  std::string saved;
  if (archive.empty()) {
    archive = saved = held.new_saved();
    build_with_docker(call,
                      or_throw(read_machine_recipe(get_string(plan.data, "dockerfile"),
                                                   {host().path(call, "home"), host().path(call, "operator-home")})),
                      saved);
  }
  try {
    const ImageArchive image = or_throw(read_image_archive(archive));
    const std::string digest = or_throw(machine_archive_digest(image, layer));
    const std::string path = cached_image(cache, digest);
    std::error_code code;
    if (!fs::exists(path, code)) {
      call.progress("making the machine's image");
      or_throw(write_machine_archive(image, layer, path, disk_reserve));
    }
    or_throw(make_directories(plan.state_dir + "/backend", 0700));
    or_throw(write_file_fast(plan.state_dir + "/backend/image", digest, 0600));
  } catch (...) {
    if (!saved.empty()) ::unlink(saved.c_str());
    throw;
  }
  if (!saved.empty()) ::unlink(saved.c_str());
}

sdk::Sidecar SmolvmBackend::start_sidecar(const sdk::Call& call, const sdk::Plan& plan, int config_fd,
                                          int lifeline_fd) {
  const std::vector<std::string> endpoints = get_strings(plan.data, "endpoint_names");
  driven::HostSidecar sidecar{.slug = plan.slug,
                              .agent = get_string(plan.data, "agent"),
                              .label = get_string(plan.data, "label"),
                              .state_dir = plan.state_dir,
                              .rules_database = get_string(plan.data, "rules_database"),
                              .disabled_guards = get_strings(plan.data, "disabled_guards"),
                              .has_git_gate = std::ranges::find(endpoints, "git-gate") != endpoints.end()};
  or_throw(make_directories(plan.state_dir + "/backend", 0700));
  // From here on the record says that there may be something of ours.
  if (plan.wire == "address") {
    const std::string address = reserve_address(host().path(call, "home"), host().path(call, "state"), plan.state_dir,
                                                make_record(plan, machines(call).abilities()));
    const auto at = [&](std::int64_t port) { return address + ":" + std::to_string(port); };
    for (const json::value& endpoint : plan.data.at("endpoints").as_array())
      sidecar.arguments.insert(sidecar.arguments.end(), {"--" + get_string(endpoint.as_object(), "name") + "-address",
                                                         at(get_int(endpoint.as_object(), "port", 0))});
    sidecar.arguments.insert(sidecar.arguments.end(), {"--report-address", at(report_port)});
  } else {
    driven::save_record(plan.state_dir, make_record(plan, machines(call).abilities()));
  }
  return driven::start_host_sidecar(host(), call, sidecar, config_fd, lifeline_fd);
}

void SmolvmBackend::set_up(const sdk::Call& call, const sdk::Plan& plan, const std::string& name,
                           const std::string& ca_pem, bool is_new) {
  Machines& with = machines(call);
  driven::GuestIdentity identity;
  identity.user = get_string(plan.data, "user", "agent");
  identity.uid = static_cast<std::uint32_t>(get_int(plan.data, "uid", 1000));
  identity.gid = static_cast<std::uint32_t>(get_int(plan.data, "gid", 1000));
  identity.home = get_string(plan.data, "home");
  identity.workspace = get_string(plan.data, "workspace_path");
  identity.names = get_strings(plan.data, "endpoint_names");
  // What smolvm unpacks is root's; in a machine that ran before it is the agent's to arrange.
  std::string script = driven::setup_script(identity, is_new ? driven::Ownership::repair : driven::Ownership::top_only);
  script += std::string("mkdir -p /run/bottle/bin\nln -sf ") + init_in_machine + " /run/bottle/bin/bottle-init\n";
  // Sockets that smolvm surfaces are root's; bottle-init is not root when it connects.
  if (plan.wire == "socket")
    script += std::string("chmod 0755 ") + wire_in_machine + "\nchmod 0666 " + wire_in_machine + "/*.sock\n";
  script += "echo bottle-is-set-up\n";
  const auto deadline = Clock::now() + ready_within;
  std::chrono::milliseconds pause = first_pause;
  while (true) {
    driven::ToolRun run;
    run.input = script;
    run.deadline = set_up_call;
    const driven::ToolResult result = with.exec_as_root(name, {"/bin/sh", "-s"}, std::move(run));
    // The tool's own code 1 and the script's are the same number: only what the script says last is its success.
    if (result.code == 0 && result.out.ends_with("bottle-is-set-up\n")) break;
    if (Clock::now() > deadline)
      throw sdk::Error(
          sdk::Status::unavailable, "the machine " + name + " could not be set up: " + driven::complaint_of(result),
          "smolvm machine status --name " + name + "; an image needs sh, mkdir, chown, chmod, grep and ln");
    pollfd cancel{.fd = call.cancel_fd(), .events = POLLIN, .revents = 0};
    ::poll(&cancel, 1, static_cast<int>(pause.count()));
    call.check_cancelled();
    pause = std::min<std::chrono::milliseconds>(pause * 2, longest_pause);
  }
  if (!ca_pem.empty()) {
    driven::ToolRun run;
    run.input = driven::trust_archive(ca_pem);
    run.deadline = set_up_call;
    const driven::ToolResult result = with.exec_as_root(name, {init_in_machine, "--unpack", "/"}, std::move(run));
    if (result.code != 0)
      throw sdk::Error(sdk::Status::failed_precondition, "the certificates could not be put into the machine " + name +
                                                             ": " + driven::complaint_of(result));
  }
}

sdk::Bottle SmolvmBackend::launch(const sdk::Call& call, const sdk::Plan& plan, const sdk::LaunchInputs& inputs,
                                  int lifeline_fd) {
  Machines& with = machines(call);
  const std::string name = driven::machine_name(plan.state_dir);
  const std::string address = address_of(plan.state_dir);
  const auto record = driven::load_record(plan.state_dir);
  if (!record || (plan.wire == "address") == address.empty())
    throw sdk::Error(sdk::Status::failed_precondition, "the sidecar of " + plan.slug + " was not started");
  auto there = with.find(name);
  if (there && owner_of(*there, *record, plan.state_dir) != Owner::ours)
    throw sdk::Error(sdk::Status::already_exists,
                     "the machine " + name + " is not bot-bottle's: it has no label " + label_state + " of this bottle",
                     "delete it yourself: smolvm machine delete --name " + name);
  if (there && !is_stopped(*there))
    throw sdk::Error(sdk::Status::already_exists,
                     "the bottle of " + plan.slug + " runs already: its machine is " + there->state);
  const bool reuse = get_bool(plan.data, "reuse", false) && there.has_value();
  if (there && !reuse) {
    with.remove(name);
    there.reset();
  }
  if (plan.wire == "socket") driven::link_sockets(call, plan.state_dir, mounted_sockets(plan.data));
  // From here on a machine may exist: whoever undoes this launch calls remove, which finds it by its record.
  const SnapshotImage snapshot(plan.state_dir);  // gone when we are, however this ends
  std::unique_ptr<Registry> registry;
  if (!reuse) {
    Creation creation{.name = name,
                      .image = get_string(plan.data, "snapshot").empty() ? built_image(plan, host().path(call, "cache"))
                                                                         : snapshot.path(),
                      .command = init_command(plan.data, address),
                      .smolfile = plan.state_dir + "/backend/machine.smolfile",
                      .cpus = number_of(plan.data, "cpus"),
                      .memory_mib = number_of(plan.data, "memory_mib"),
                      .disk_gib = number_of(plan.data, "disk_gib"),
                      .allowed_address = address,
                      .labels = {{label_managed, "true"},
                                 {label_slug, plan.slug},
                                 {label_state, plan.state_dir},
                                 {label_version, get_string(plan.data, "version")}}};
    if (plan.wire == "address") {
      registry = std::make_unique<Registry>(or_throw(read_image_archive(creation.image)), address);
      creation.image = registry->reference();
    } else {
      for (const std::string& socket : mounted_sockets(plan.data))
        creation.sockets.emplace_back(driven::socket_directory(plan.state_dir) + "/" + socket + ".sock",
                                      std::string(wire_in_machine) + "/" + socket + ".sock");
    }
    call.progress("making the machine");
    json::object made = *record;
    made[record_made] = true;
    driven::save_record(plan.state_dir, std::move(made));
    with.create(creation);
  }
  if (plan.wire == "address") check_stored_allow_list(with.tool(), name, address);
  // Before it runs: from here on it is stopped when the operator's process is gone.
  driven::start_lifeline_keeper(host(), call, with.tool(),
                                {.state_dir = plan.state_dir, .commands = {Machines::stop_arguments(name)}},
                                lifeline_fd);
  call.progress("starting the machine");
  with.start(name);
  registry.reset();
  set_up(call, plan, name, inputs.ca_pem, !reuse);
  if (plan.wire == "address") probe_from_inside(with, name, address, plan.data);
  if (!reuse && get_string(plan.data, "workspace_mode") == "copy" && get_string(plan.data, "snapshot").empty())
    driven::copy_tree_into_guest(call, with.relay(name), get_string(plan.data, "workspace_source"),
                                 get_string(plan.data, "workspace_path"), host().path(call, "home"));

  sdk::Bottle bottle;
  bottle.slug = plan.slug;
  bottle.backend = backend_name;
  bottle.state_dir = plan.state_dir;
  bottle.data = plan.data;
  bottle.endpoints = driven::endpoint_addresses(plan.data);
  std::vector<std::string> selftest{init_in_machine, "--selftest"};
  for (const std::string& option : endpoint_options(plan.data, address))
    selftest.insert(selftest.end(), {"--endpoint", option});
  bottle.extra["selftest"] = to_array(selftest);
  return bottle;
}

}  // namespace bot_bottle::backend_smolvm
