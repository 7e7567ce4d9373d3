#include "sidecar/guest/selftest.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <string_view>

#include "core/base/unique_fd.hpp"

namespace bot_bottle::guest {
namespace {

using Failures = std::vector<std::string>;

std::string read_small(const char* path) {
  const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  std::string text;
  std::array<char, 4096> bytes{};
  while (fd) {
    const ssize_t got = ::read(fd.get(), bytes.data(), bytes.size());
    if (got <= 0 || text.size() > 65536) break;
    text.append(bytes.data(), static_cast<std::size_t>(got));
  }
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::size_t from = 0;
  while (from < text.size()) {
    const std::size_t to = std::min(text.find('\n', from), text.size());
    lines.push_back(text.substr(from, to - from));
    from = to + 1;
  }
  return lines;
}

void check_network_is_empty(const SelftestOptions& options, Failures& failed) {
  struct stat own {};
  if (options.host_network != 0 && ::stat("/proc/self/ns/net", &own) == 0 && own.st_ino == options.host_network)
    failed.emplace_back("network: the bottle is in the host's network namespace");
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const std::vector<std::string> devices = lines_of(read_small("/proc/net/dev"));
  if (devices.size() < 3) failed.emplace_back("network: /proc/net/dev cannot be read");
  for (std::size_t i = 2; i < devices.size(); ++i) {
    const std::string& line = devices[i];
    const std::size_t start = line.find_first_not_of(' ');
    const std::string name = line.substr(start, line.find(':') - start);
    ifreq request{};
    if (name == "lo" || name.size() >= sizeof request.ifr_name) continue;
    std::memcpy(request.ifr_name, name.c_str(), name.size() + 1);
    // Kernels put tunnel devices into every namespace; what is down and cannot be set up leads nowhere.
    if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0 || (request.ifr_flags & IFF_UP) != 0)
      failed.push_back("network: there is an interface besides lo: " + name);
  }
  if (lines_of(read_small("/proc/net/route")).size() > 1) failed.emplace_back("network: there is an IPv4 route");
  for (const std::string& line : lines_of(read_small("/proc/net/ipv6_route")))
    if (line.size() < 4 || !line.ends_with(" lo"))
      failed.push_back("network: there is an IPv6 route: " + line.substr(line.rfind(' ') + 1));
}

/// An address is out of reach when connect says so at once; "in progress" means that a packet has left.
void check_unreachable(const char* name, int family, int type, const sockaddr* address, socklen_t size,
                       Failures& failed) {
  const UniqueFd socket(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return;
  if (::connect(socket.get(), address, size) == 0 || errno == EINPROGRESS)
    failed.push_back(std::string("network: ") + name + " can be reached");
}

void check_addresses(Failures& failed) {
  struct Target {
    const char* address;
    std::uint16_t port;
    int type;
  };
  static constexpr std::array<Target, 6> v4{{{"1.1.1.1", 443, SOCK_STREAM},
                                             {"1.1.1.1", 53, SOCK_DGRAM},
                                             {"169.254.169.254", 80, SOCK_STREAM},
                                             {"192.168.0.1", 80, SOCK_STREAM},
                                             {"10.0.0.1", 80, SOCK_STREAM},
                                             {"172.17.0.1", 2375, SOCK_STREAM}}};
  for (const Target& target : v4) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(target.port);
    ::inet_pton(AF_INET, target.address, &address.sin_addr);
    check_unreachable(target.address, AF_INET, target.type, reinterpret_cast<const sockaddr*>(&address), sizeof address,
                      failed);
  }
  for (const char* name : {"2606:4700::1111", "fd00::1"}) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(443);
    ::inet_pton(AF_INET6, name, &address.sin6_addr);
    check_unreachable(name, AF_INET6, SOCK_STREAM, reinterpret_cast<const sockaddr*>(&address), sizeof address, failed);
  }
}

void check_status(Failures& failed) {
  bool seccomp = false;
  for (const std::string& line : lines_of(read_small("/proc/self/status"))) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string key = line.substr(0, colon);
    const std::string value = line.substr(std::min(line.find_first_not_of(" \t", colon + 1), line.size()));
    if (key.size() == 6 && key.starts_with("Cap") && value.find_first_not_of('0') != std::string::npos)
      failed.push_back("capabilities: " + key + " is " + value);
    if (key == "NoNewPrivs" && value != "1") failed.emplace_back("no_new_privs is not set");
    if (key == "Seccomp") seccomp = value == "2";
  }
  if (!seccomp) failed.emplace_back("seccomp: no filter");
  for (const std::string& line : lines_of(read_small("/proc/1/status")))
    if (line.starts_with("CapBnd:") && line.find_first_not_of("0 \t", 7) != std::string::npos)
      failed.emplace_back("capabilities: pid 1 kept some");
  if (read_small("/proc/1/comm") != "bottle-init\n") failed.emplace_back("pid 1 is not bottle-init");
  if (::access("/proc/1/environ", R_OK) == 0 && !read_small("/proc/1/environ").empty())
    failed.emplace_back("/proc/1/environ can be read");
}

/// In a child: what it tries must not change this process should it work. True = it worked.
bool works_in_child(const std::function<bool()>& attempt) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(attempt() ? 0 : 1);
  int status = 0;
  if (pid < 0 || ::waitpid(pid, &status, 0) != pid) return false;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void check_kernel_surface(const SelftestOptions& options, Failures& failed) {
  if (works_in_child([] { return ::unshare(CLONE_NEWUSER) == 0; }))
    failed.emplace_back("namespaces: a new user namespace can be made");
  if (works_in_child([] { return ::unshare(CLONE_NEWNET) == 0; }))
    failed.emplace_back("namespaces: a new network namespace can be made");
  if (works_in_child([] { return ::mount("none", "/tmp", "tmpfs", 0, nullptr) == 0; }))
    failed.emplace_back("mount works");
  const auto opens = [](int family, int type, int protocol) {
    const UniqueFd socket(::socket(family, type | SOCK_CLOEXEC, protocol));
    return static_cast<bool>(socket);
  };
  if (opens(AF_INET, SOCK_RAW, IPPROTO_ICMP) || opens(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6))
    failed.emplace_back("raw sockets work");
  if (opens(AF_PACKET, SOCK_DGRAM, 0)) failed.emplace_back("packet sockets work");
  if (!options.expect_seccomp) return;
  if (opens(AF_VSOCK, SOCK_STREAM, 0)) failed.emplace_back("vsock sockets work");
  if (works_in_child([] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0; }))
    failed.emplace_back("ptrace works");
  const std::array<int, 2> none{-1, -1};
  if (::ioctl(none[0], TIOCSTI, "") == 0 || errno != EPERM) failed.emplace_back("TIOCSTI is not refused");
  // Arguments that a kernel without our filter would complain about in another way.
  if (::syscall(SYS_keyctl, -1L, 0L, 0L, 0L, 0L) == 0 || (errno != EPERM && errno != ENOSYS))
    failed.emplace_back("keyctl is not refused");
  if (::syscall(SYS_bpf, -1L, nullptr, 0L) == 0 || (errno != EPERM && errno != ENOSYS))
    failed.emplace_back("bpf is not refused");
  if (::syscall(425L /* io_uring_setup */, 0L, nullptr) == 0 || (errno != EPERM && errno != ENOSYS))
    failed.emplace_back("io_uring is not refused");
}

void check_endpoints(const SelftestOptions& options, Failures& failed) {
  for (const Endpoint& endpoint : options.endpoints) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(endpoint.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const UniqueFd tcp(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!tcp || ::connect(tcp.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      failed.push_back("endpoint " + endpoint.name + " does not listen on 127.0.0.1:" + std::to_string(endpoint.port));
    sockaddr_un local{};
    local.sun_family = AF_UNIX;
    if (endpoint.socket.size() >= sizeof local.sun_path) continue;
    std::memcpy(local.sun_path, endpoint.socket.c_str(), endpoint.socket.size() + 1);
    const UniqueFd unix_socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!unix_socket || ::connect(unix_socket.get(), reinterpret_cast<const sockaddr*>(&local), sizeof local) != 0)
      failed.push_back("endpoint " + endpoint.name + ": the sidecar does not answer: " + std::strerror(errno));
  }
}

}  // namespace

std::vector<std::string> run_selftest(const SelftestOptions& options) {
  Failures failed;
  check_network_is_empty(options, failed);
  check_addresses(failed);
  check_status(failed);
  check_kernel_surface(options, failed);
  check_endpoints(options, failed);
  return failed;
}

std::string selftest_json(const std::vector<std::string>& failed) {
  std::string out = failed.empty() ? R"({"ok":true,"failed":[)" : R"({"ok":false,"failed":[)";
  for (std::size_t i = 0; i < failed.size(); ++i) {
    out += i == 0 ? "\"" : ",\"";
    for (const char c : failed[i]) {
      if (c == '"' || c == '\\') out.push_back('\\');
      if (static_cast<unsigned char>(c) >= 0x20) out.push_back(c);
    }
    out.push_back('"');
  }
  return out + "]}";
}

}  // namespace bot_bottle::guest
