#include "plugins/backend-docker/containers.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "plugins/backend-docker/guest_stream.hpp"
#include "plugins/backend-docker/names.hpp"
#include "plugins/backend-docker/seccomp_profile.hpp"

namespace bot_bottle::backend_docker {
namespace {

constexpr const char* wire_in_bottle = "/run/bottle/wire";
constexpr const char* state_in_sidecar = "/run/sidecar/state";
constexpr std::uint64_t sidecar_memory = std::uint64_t{2} << 30;
constexpr std::int64_t holder_memory = std::int64_t{16} << 20;
constexpr std::int64_t tmp_bytes = std::int64_t{1} << 30;
constexpr int max_files = 65536;

bool is_off(const json::object& data, const char* guard) {
  const std::vector<std::string> guards = get_strings(data, "disabled_guards");
  return std::ranges::find(guards, guard) != guards.end();
}

std::string user_of(const json::object& data, const char* uid, const char* gid) {
  return std::to_string(get_int(data, uid, 1000)) + ":" + std::to_string(get_int(data, gid, 1000));
}

json::array security(const json::object& data) {
  json::array options{"no-new-privileges"};
  // Guarded by tests/docker/guards_test: without it the self-test stops the launch.
  options.emplace_back(is_off(data, "seccomp") ? "seccomp=unconfined" : "seccomp=" + to_text(make_seccomp_profile()));
  return options;
}

json::object bind_mount(const std::string& source, const std::string& target, bool read_only) {
  return {{"Type", "bind"},
          {"Source", source},
          {"Target", target},
          {"ReadOnly", read_only},
          {"BindOptions", {{"Propagation", "rprivate"}}}};
}

/// What both have in common.
json::object host_config(const sdk::Plan& plan) {
  return {{"CapDrop", json::array{"ALL"}},
          {"SecurityOpt", security(plan.data)},
          {"IpcMode", "private"},
          {"RestartPolicy", {{"Name", "no"}}},
          // The engine's own list, and the control groups' directory (escape suite 5.6).
          {"ReadonlyPaths",
           json::array{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/sys/fs/cgroup"}},
          {"OomScoreAdj", 500},
          {"Privileged", false},
          {"Ulimits", json::array{json::object{{"Name", "core"}, {"Soft", 0}, {"Hard", 0}}}}};
}

/// What belongs to a network namespace and so to the first container in it.
void give_network(json::object& container, json::object& host, const json::object& data,
                  const std::optional<WireNetwork>& network) {
  container["Hostname"] = "bottle";
  host["NetworkMode"] = network ? network->name : is_off(data, "netns") ? "host" : "none";
  host["Dns"] = json::array{"127.0.0.1"};
  json::array names{"bottle:127.0.0.1"};
  for (const std::string& name : get_strings(data, "endpoint_names")) names.emplace_back(name + ":127.0.0.1");
  if (!is_off(data, "netns")) host["ExtraHosts"] = std::move(names);
  if (network)
    container["NetworkingConfig"] = {
        {"EndpointsConfig", {{network->name, {{"IPAMConfig", {{"IPv4Address", network->agent}}}}}}}};
}

json::object wire_mount(const sdk::Plan& plan) {
  return {{"Type", "volume"},
          {"Source", resource_name(plan.state_dir, "wire")},
          {"Target", wire_in_bottle},
          {"ReadOnly", true},
          {"VolumeOptions", {{"NoCopy", true}}}};
}

}  // namespace

bool has_holder(const json::object& data) {
  return get_string(data, "wire") == "address" && get_bool(data, "own_kernel", false) &&
         !get_bool(data, "host_sockets", false);
}

json::object holder_container(const sdk::Plan& plan, const WireNetwork& network) {
  const json::object& data = plan.data;
  json::object host = host_config(plan);
  host["Runtime"] = "runc";
  host["ReadonlyRootfs"] = true;
  host["LogConfig"] = {{"Type", "json-file"}, {"Config", {{"max-size", "16k"}, {"max-file", "1"}}}};
  host["PidsLimit"] = 8;
  host["Memory"] = holder_memory;
  host["MemorySwap"] = holder_memory;
  host["Mounts"] = json::array{wire_mount(plan)};
  host["Sysctls"] = {{"net.ipv6.conf.all.disable_ipv6", "1"}, {"net.ipv6.conf.default.disable_ipv6", "1"}};
  if (get_bool(data, "user_namespaces", false)) host["UsernsMode"] = "host";
  json::object container{{"Image", get_string(data, "sidecar_image")},
                         {"User", user_of(data, "sidecar_uid", "sidecar_gid")},
                         {"Entrypoint", json::array{"/bin/bottle-init"}},
                         // By its socket: the address is gVisor's as soon as that has started.
                         {"Cmd", json::array{"--service", "--lifeline", std::string(wire_in_bottle) + "/life.sock"}},
                         {"WorkingDir", "/"},
                         {"Labels", make_labels(data, plan.slug, plan.state_dir, "network")},
                         {"Healthcheck", {{"Test", json::array{"NONE"}}}},
                         {"StopSignal", "SIGTERM"}};
  give_network(container, host, data, network);
  container["HostConfig"] = std::move(host);
  return container;
}

std::vector<std::string> endpoint_options(const json::object& data, const std::optional<WireNetwork>& network) {
  std::vector<std::string> options;
  const json::array* endpoints = find_array(data, "endpoints");
  if (endpoints == nullptr) return options;
  for (const json::value& value : *endpoints) {
    const std::string name = get_string(value.as_object(), "name");
    const std::string port = std::to_string(get_int(value.as_object(), "port", 0));
    const std::string target =
        network ? "tcp:" + network->sidecar + ":" + port : std::string(wire_in_bottle) + "/" + name + ".sock";
    options.push_back(name + "=" + port + ":" + target);
  }
  return options;
}

json::object wire_volume(const sdk::Plan& plan) {
  const std::string uid = std::to_string(get_int(plan.data, "sidecar_uid", 0));
  const std::string gid = std::to_string(get_int(plan.data, "sidecar_gid", 0));
  return {{"Name", resource_name(plan.state_dir, "wire")},
          {"Driver", "local"},
          {"DriverOpts",
           {{"type", "tmpfs"},
            {"device", "tmpfs"},
            {"o", "size=1m,nr_inodes=64,mode=0711,uid=" + uid + ",gid=" + gid + ",nosuid,nodev,noexec"}}},
          {"Labels", make_labels(plan.data, plan.slug, plan.state_dir, "wire")}};
}

json::object agent_container(const sdk::Plan& plan, const std::optional<WireNetwork>& network) {
  const json::object& data = plan.data;
  json::object host = host_config(plan);
  host["Runtime"] = get_string(data, "runtime");
  host["Init"] = false;  // bottle-init is pid 1
  host["LogConfig"] = {{"Type", "json-file"}, {"Config", {{"max-size", "64k"}, {"max-file", "1"}}}};
  host["Tmpfs"] = {{"/tmp", "rw,exec,nosuid,nodev,mode=1777,size=" + std::to_string(tmp_bytes)}};
  json::object container;
  if (has_holder(data))
    host["NetworkMode"] = "container:" + resource_name(plan.state_dir, "network");
  else
    give_network(container, host, data, network);
  json::array mounts;
  if (!network) mounts.push_back(wire_mount(plan));
  // The engine's own file names its resolver; ours names bottle-init.
  if (network) mounts.push_back(bind_mount(plan.state_dir + "/backend/resolv.conf", "/etc/resolv.conf", true));
  if (get_string(data, "workspace_mode") == "mount") {
    const std::string source = get_string(data, "workspace_source");
    const std::string target = get_string(data, "workspace_path");
    mounts.push_back(bind_mount(source, target, false));
    mounts.push_back(bind_mount(source + "/.git", target + "/.git", true));
    for (const std::string& path : get_strings(data, "read_only"))
      mounts.push_back(bind_mount(source + "/" + path, target + "/" + path, true));
  }
  host["Mounts"] = std::move(mounts);
  json::object sysctls;
  // gVisor has a network stack of its own and no such settings.
  if (!get_bool(data, "own_kernel", false) && !is_off(data, "netns")) {
    sysctls["net.ipv4.ip_unprivileged_port_start"] = "0";
    if (network) {
      sysctls["net.ipv6.conf.all.disable_ipv6"] = "1";
      sysctls["net.ipv6.conf.default.disable_ipv6"] = "1";
    }
  }
  host["Sysctls"] = std::move(sysctls);
  const json::object none;
  const json::object* resources = find_object(data, "resources");
  if (resources == nullptr) resources = &none;
  host["PidsLimit"] = get_int(*resources, "pids", 2048);
  if (const std::int64_t memory = get_int(*resources, "memory", 0); memory > 0) {
    host["Memory"] = memory;
    host["MemorySwap"] = memory;
  }
  if (const json::value* cpus = resources->if_contains("cpus"))
    host["NanoCpus"] = static_cast<std::int64_t>(cpus->to_number<double>() * 1e9);

  json::array command;
  for (const std::string& option : endpoint_options(data, network))
    command.insert(command.end(), {"--endpoint", json::value(option)});
  const auto at = [&](int port) { return "tcp:" + network->sidecar + ":" + std::to_string(port); };
  command.insert(command.end(), {"--report", network ? at(report_port) : std::string(wire_in_bottle) + "/report.sock"});
  command.insert(command.end(),
                 {"--lifeline", network ? at(lifeline_port) : std::string(wire_in_bottle) + "/life.sock"});
  command.emplace_back("--exec-abstract");
  // There gVisor listens through the host's sockets, whose low ports are the host's to give, and takes no sysctl.
  if (get_bool(data, "host_sockets", false)) command.emplace_back("--without-dns");
  // Not the engine's to raise: it may have less itself.
  command.insert(command.end(), {"--max-files", json::value(std::to_string(max_files))});
  for (const std::string& path : {get_string(data, "home"), get_string(data, "workspace_path"), std::string("/tmp"),
                                  std::string("/dev"), std::string("/proc")})
    command.insert(command.end(), {"--writable", json::value(path)});
#ifdef BB_TEST_HOOKS
  if (is_off(data, "caps")) {
    command.emplace_back("--keep-capabilities");
    host["CapDrop"] = json::array{};
    host["CapAdd"] = json::array{"SYS_ADMIN"};
  }
  if (is_off(data, "netns")) command.emplace_back("--tolerate-no-listeners");
#endif
  container["Image"] = get_string(data, "image");
  container["User"] = is_off(data, "caps") ? "0:0" : user_of(data, "uid", "gid");
  container["Entrypoint"] = json::array{guest_init};
  container["Cmd"] = std::move(command);
  container["Env"] = json::array{"PATH=/usr/local/bin:/usr/bin:/bin"};
  container["WorkingDir"] = "/";
  container["Labels"] = make_labels(data, plan.slug, plan.state_dir, "agent");
  container["Healthcheck"] = {{"Test", json::array{"NONE"}}};
  container["StopSignal"] = "SIGTERM";
  container["HostConfig"] = std::move(host);
  if (is_off(data, "netns")) container.erase("Hostname");
  return container;
}

json::object sidecar_container(const sdk::Plan& plan, const std::optional<WireNetwork>& network, bool has_rules,
                               bool has_lifeline) {
  const json::object& data = plan.data;
  json::object host = host_config(plan);
  host["Runtime"] = "runc";
  host["NetworkMode"] = "bridge";
  host["ReadonlyRootfs"] = true;
  host["AutoRemove"] = true;
  host["Tmpfs"] = {{"/tmp", "rw,noexec,nosuid,nodev,mode=1777,size=67108864"}};
  host["LogConfig"] = {{"Type", "none"}, {"Config", json::object{}}};
  host["PidsLimit"] = 512;
  host["Memory"] = sidecar_memory;
  host["MemorySwap"] = sidecar_memory;
  if (get_bool(data, "user_namespaces", false)) host["UsernsMode"] = "host";  // its files are the operator's
  json::array mounts{{{"Type", "volume"},
                      {"Source", resource_name(plan.state_dir, "wire")},
                      {"Target", std::string(state_in_sidecar) + "/wire"},
                      {"VolumeOptions", {{"NoCopy", true}}}}};
  for (const char* name : {"egress", "control", "logs", "git-gate", "supervise"})
    mounts.push_back(bind_mount(plan.state_dir + "/" + name, std::string(state_in_sidecar) + "/" + name, false));
  if (has_rules) mounts.push_back(bind_mount(get_string(data, "rules_database"), "/run/sidecar/rules.database", true));
  // ssh asks who it is, and the image is of no bottle.
  if (get_bool(data, "with_git", false))
    mounts.push_back(bind_mount(plan.state_dir + "/backend/sidecar-passwd", "/etc/passwd", true));
  host["Mounts"] = std::move(mounts);
  json::array command{"--service",
                      "--config",
                      "--log",
                      std::string(state_in_sidecar) + "/logs/sidecar.log",
                      "--hold",
                      network ? "tcp:" + network->sidecar + ":" + std::to_string(lifeline_port)
                              : std::string(state_in_sidecar) + "/wire/life.sock"};
  if (has_holder(data)) command.insert(command.end(), {"--hold", std::string(state_in_sidecar) + "/wire/life.sock"});
  if (has_lifeline) command.emplace_back("--stdin-lifeline");
  command.insert(command.end(), {"--", "/bin/bot-bottle-sidecar", "--state", state_in_sidecar, "--share", "/share"});
  if (has_rules) command.insert(command.end(), {"--rules-database", "/run/sidecar/rules.database"});
  if (network) {
    command.insert(command.end(),
                   {"--report-address", json::value(network->sidecar + ":" + std::to_string(report_port))});
    for (const json::value& endpoint : data.at("endpoints").as_array()) {
      const json::object& one = endpoint.as_object();
      command.insert(command.end(), {json::value("--" + get_string(one, "name") + "-address"),
                                     json::value(network->sidecar + ":" + std::to_string(get_int(one, "port", 0)))});
    }
  }
  json::object container{{"Image", get_string(data, "sidecar_image")},
                         {"User", user_of(data, "sidecar_uid", "sidecar_gid")},
                         {"Entrypoint", json::array{"/bin/bottle-init"}},
                         {"Cmd", std::move(command)},
                         {"Env", json::array{"PATH=/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8"}},
                         {"WorkingDir", "/"},
                         {"Hostname", "sidecar"},
                         {"OpenStdin", true},
                         {"StdinOnce", true},  // when the operator's stream ends, so does its input
                         {"AttachStdin", true},
                         {"Labels", make_labels(data, plan.slug, plan.state_dir, "sidecar")},
                         {"Healthcheck", {{"Test", json::array{"NONE"}}}},
                         {"StopSignal", "SIGTERM"},
                         {"HostConfig", std::move(host)}};
  return container;
}

json::array selftest_argv(const sdk::Plan& plan, const std::optional<WireNetwork>& network) {
  json::array argv{guest_init, "--selftest"};
  for (const std::string& option : endpoint_options(plan.data, network))
    argv.insert(argv.end(), {"--endpoint", json::value(option)});
  if (get_bool(plan.data, "own_kernel", false)) argv.emplace_back("--own-kernel");
  if (get_bool(plan.data, "host_sockets", false)) argv.emplace_back("--host-sockets");
  if (network)
    argv.insert(argv.end(),
                {"--wire-address", json::value(network->sidecar), "--gateway", json::value(network->gateway)});
  struct stat status {};
  if (!get_bool(plan.data, "own_kernel", false) && ::stat("/proc/self/ns/net", &status) == 0)
    argv.insert(argv.end(), {"--host-network", json::value(std::to_string(status.st_ino))});
  return argv;
}

}  // namespace bot_bottle::backend_docker
