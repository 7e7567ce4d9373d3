// 1.24 to 1.26: unix sockets of the host, and the sidecar's control channel (C6, C11, D1, D2).
#include <dirent.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>

#include "core/base/unique_fd.hpp"
#include "sidecar/attack/http.hpp"
#include "sidecar/attack/probe.hpp"

namespace bot_bottle::attack {
namespace {

/// `name` starting with '@' is abstract.
int connect_unix(const std::string& name, int type, UniqueFd& fd) {
  fd.reset(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!fd) return errno;
  const timeval limit{2, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t size = std::min(name.size(), sizeof address.sun_path - 1);
  std::memcpy(static_cast<char*>(address.sun_path), name.data(), size);
  if (name.starts_with('@')) address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size + (name.starts_with('@') ? 0 : 1));
  return ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), length) == 0 ? 0 : errno;
}

Outcome dial_unix(const std::vector<std::string>& names) {
  std::string detail;
  for (const std::string& name : names) {
    for (int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}) {
      UniqueFd fd;
      const int number = connect_unix(name, type, fd);
      if (number == 0 || number == EPROTOTYPE) return escaped("reached " + name);
      if (number != ENOENT && number != EACCES && number != ECONNREFUSED && number != EPERM && number != ENOTDIR &&
          number != EPROTONOSUPPORT)
        return failed(name + ": unexpected " + errno_name(number));
      if (detail.empty()) detail = errno_name(number);
    }
  }
  return blocked(detail);
}

std::vector<std::string> per_user(const std::vector<std::string>& names) {
  std::vector<std::string> out;
  for (const std::string& uid :
       {std::string("0"), std::string("1000"), std::string("1001"), std::to_string(::getuid())})
    for (const std::string& name : names) out.push_back("/run/user/" + uid + "/" + name);
  return out;
}

std::vector<std::string> with_environment(std::vector<std::string> names,
                                          std::initializer_list<const char*> variables) {
  for (const char* variable : variables) {
    const char* value = std::getenv(variable);
    if (value == nullptr || *value == '\0') continue;
    std::string text = value;
    if (const std::size_t path = text.find("unix:path="); path != std::string::npos) text.erase(0, path + 10);
    if (text.starts_with('/')) names.push_back(text.substr(0, text.find(',')));
  }
  return names;
}

void add_host_sockets(std::vector<Attempt>& out, const Context& base) {
  Subject sockets(out, "1.24", "files");
  const std::pair<const char*, std::vector<std::string>> cases[] = {
      {"container engines",
       with_environment(
           {"/var/run/docker.sock", "/run/docker.sock", "/run/podman/podman.sock", "/run/containerd/containerd.sock",
            "/run/crio/crio.sock", "/run/buildkit/buildkitd.sock", "/var/snap/docker/common/run/docker.sock"},
           {"DOCKER_HOST"})},
      {"rootless container engines", per_user({"docker.sock", "podman/podman.sock", "containerd/containerd.sock"})},
      {"D-Bus, system", with_environment({"/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket"},
                                         {"DBUS_SYSTEM_BUS_ADDRESS"})},
      {"D-Bus, session: systemd-run (C6)",
       with_environment(per_user({"bus", "systemd/private", "systemd/notify"}), {"DBUS_SESSION_BUS_ADDRESS"})},
      {"systemd",
       {"/run/systemd/private", "/run/systemd/notify", "/run/systemd/journal/socket", "/run/systemd/journal/dev-log",
        "/dev/log", "/run/systemd/resolve/io.systemd.Resolve"}},
      {"X11", {"/tmp/.X11-unix/X0", "/tmp/.X11-unix/X1", "@/tmp/.X11-unix/X0", "@/tmp/.X11-unix/X1"}},
      {"Wayland, audio", per_user({"wayland-0", "pulse/native", "pipewire-0"})},
      {"ssh-agent and gpg-agent", with_environment(per_user({"keyring/ssh", "gnupg/S.gpg-agent",
                                                             "gnupg/S.gpg-agent.ssh", "ssh-agent.socket", "gcr/ssh"}),
                                                   {"SSH_AUTH_SOCK"})},
      {"other daemons in /run",
       {"/run/snapd.socket", "/run/libvirt/libvirt-sock", "/run/nscd/socket", "/var/run/nscd/socket",
        "/run/acpid.socket", "/run/udev/control", "/run/postgresql/.s.PGSQL.5432", "/var/run/mysqld/mysqld.sock",
        "/run/avahi-daemon/socket", "/run/cups/cups.sock", "/run/lvm/lvmpolld.socket"}},
      {"terminals shared on the host",
       {"/tmp/tmux-0/default", "/tmp/tmux-1000/default", "/run/screen/S-root", "/tmp/dbus-session"}},
  };
  for (const auto& [text, names] : cases)
    sockets.add(std::string("unix sockets: ") + text, [names = names](const Context&) { return dial_unix(names); });

  Subject abstract(out, "1.25", "netns");
  if (!base.abstract_socket.empty())
    abstract.add("the host's abstract socket @" + base.abstract_socket + " (C11)",
                 [](const Context& context) { return dial_unix({"@" + context.abstract_socket}); });
  abstract.add("every abstract socket in /proc/net/unix (C11)", [](const Context&) {
    const std::string text = read_start("/proc/net/unix", 4 << 20);
    std::string found;
    for (std::size_t at = text.find(" @"); at != std::string::npos; at = text.find(" @", at + 2))
      found += " " + text.substr(at + 1, text.find('\n', at) - at - 1);
    return found.empty() ? blocked("none") : escaped("visible:" + found.substr(0, 200));
  });
}

/// Walks the visible file system without /proc and /sys for sockets and hands each to `see`.
void walk_sockets(const std::string& directory, int depth, int& budget,
                  const std::function<void(const std::string&)>& see) {
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(directory.c_str()), &::closedir);
  if (!dir || depth > 8) return;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string name = entry->d_name;
    const std::string path = (directory == "/" ? "" : directory) + "/" + name;
    if (name == "." || name == ".." || path == "/proc" || path == "/sys" || path == "/usr" || path == "/lib" ||
        path == "/lib64" || path == "/bin")
      continue;
    if (--budget < 0) return;
    if (entry->d_type == DT_SOCK) see(path);
    if (entry->d_type == DT_DIR) walk_sockets(path, depth + 1, budget, see);
  }
}

/// Speaks the control channel's language at a connected socket: "" when nobody understands it.
std::string ask_control(int fd) {
  const std::string line = "{\"id\": 1, \"call\": \"status\"}\n";
  if (::send(fd, line.data(), line.size(), MSG_NOSIGNAL) < 0) return {};
  std::array<char, 8192> buffer{};
  const ssize_t size = ::recv(fd, buffer.data(), buffer.size(), 0);
  const std::string answer(buffer.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  // A line of JSON: the endpoints that are there for the agent answer in HTTP, JSON-RPC with an "id" among it.
  const bool speaks = answer.starts_with("{") &&
                      (answer.find("\"ok\"") != std::string::npos || answer.find("\"id\"") != std::string::npos);
  return speaks ? answer : std::string();
}

void add_control(std::vector<Attempt>& out) {
  Subject control_channel(out, "1.26", "control");
  control_channel.add(
      "every socket in the file system: none speaks the control channel (D1, D2)",
      [](const Context&) {
        Outcome result = blocked("none");
        int budget = 200000;
        int seen = 0;
        walk_sockets("/", 0, budget, [&](const std::string& path) {
          ++seen;
          UniqueFd fd;
          if (path.ends_with("control.sock")) result = escaped(path + " is visible");
          if (connect_unix(path, SOCK_STREAM, fd) == 0)
            if (const std::string answer = ask_control(fd.get()); !answer.empty())
              result = escaped(path + " answers " + answer.substr(0, 80));
        });
        if (result.verdict == Verdict::blocked) result.detail = std::to_string(seen) + " sockets seen, none answers";
        return result;
      },
      std::chrono::seconds(40));
  control_channel.add("every named endpoint: none speaks the control channel (D1, D2)", [](const Context& context) {
    for (std::uint16_t port : {std::uint16_t{53}, context.proxy_port, std::uint16_t{9100}, std::uint16_t{9418}}) {
      UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const timeval limit{2, 0};
      ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(port);
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) continue;
      if (const std::string answer = ask_control(fd.get()); answer.starts_with("{\"id\""))
        return escaped("port " + std::to_string(port) + " answers " + answer.substr(0, 80));
    }
    return blocked("none");
  });
  Subject paths(out, "1.27", "control", Needs::egress);
  for (const char* path : {"/control", "/status", "/shutdown", "/reload", "/metrics", "/debug/pprof/", "/..%2fcontrol",
                           "/ca.key", "/open/url?u=http://evil.example.com"})
    paths.add(std::string("the proxy's own host has no control: http://_egress.local") + path + " (D1 to D4)",
              [path = std::string(path)](const Context& context) {
                Response response =
                    ask_proxy(context, request("POST", "http://_egress.local" + path, "_egress.local", "", "{}"));
                if (response.status == 404 || response.status == 405) return blocked(std::to_string(response.status));
                return judge(context, response, accept::bad_request);
              });
}

}  // namespace

void add_reach_sockets(std::vector<Attempt>& out, const Context& context) {
  add_host_sockets(out, context);
  add_control(out);
}

}  // namespace bot_bottle::attack
