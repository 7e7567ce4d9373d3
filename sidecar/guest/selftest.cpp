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

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <functional>
#include <optional>
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

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  constexpr const char* blank = " \t";
  for (std::size_t at = line.find_first_not_of(blank); at != std::string::npos;) {
    const std::size_t end = std::min(line.find_first_of(blank, at), line.size());
    words.push_back(line.substr(at, end - at));
    at = line.find_first_not_of(blank, end);
  }
  return words;
}

std::optional<unsigned> parse_hex(const std::string& text) {
  unsigned value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data(), end, value, 16);
  if (code != std::errc() || stop != end || text.empty()) return std::nullopt;
  return value;
}

/// The socket wire has no route at all, the address wire one: to the sidecar's address alone.
void check_routes(const SelftestOptions& options, Failures& failed) {
  const std::vector<std::string> routes = lines_of(read_small("/proc/net/route"));
  in_addr wire{};
  if (!options.wire_address.empty()) ::inet_pton(AF_INET, options.wire_address.c_str(), &wire);
  for (std::size_t i = 1; i < routes.size(); ++i) {
    // proc_net(5): Iface Destination Gateway Flags RefCnt Use Metric Mask …, addresses as the kernel holds them, in
    // hex.
    const std::vector<std::string> fields = words_of(routes[i]);
    const bool is_to_wire = fields.size() >= 8 && wire.s_addr != 0 && parse_hex(fields[1]) == wire.s_addr &&
                            parse_hex(fields[2]) == 0U && parse_hex(fields[7]) == 0xffffffffU;
    if (is_to_wire) continue;
    failed.push_back("network: there is an IPv4 route: " + routes[i].substr(0, 40));
  }
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
    if (!options.wire_address.empty() && name == "eth0") continue;
    // Kernels put tunnel devices into every namespace; what is down and cannot be set up leads nowhere.
    if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0 || (request.ifr_flags & IFF_UP) != 0)
      failed.push_back("network: there is an interface besides lo: " + name);
  }
  // gVisor on the host's sockets lists the routes of its start; that they lead nowhere is tried below.
  if (!options.host_sockets) check_routes(options, failed);
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

bool connects(const sockaddr_in& address) {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience{.tv_sec = 1, .tv_usec = 0};
  if (socket) ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  return socket && ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

/// What an ordinary network would lead to: the host's end of the bridge, a neighbour, the engine's resolver.
void check_wire_neighbours(const SelftestOptions& options, Failures& failed) {
  if (options.wire_address.empty()) return;
  in_addr wire{};
  ::inet_pton(AF_INET, options.wire_address.c_str(), &wire);
  std::vector<std::string> names{"127.0.0.11"};
  if (!options.gateway.empty()) names.push_back(options.gateway);
  const std::uint32_t base = ntohl(wire.s_addr) & ~7U;
  for (const std::uint32_t last : {4U, 5U, 6U, 8U}) {
    const in_addr other{.s_addr = htonl(base + last)};
    std::array<char, INET_ADDRSTRLEN> text{};
    names.emplace_back(::inet_ntop(AF_INET, &other, text.data(), text.size()));
  }
  for (const std::string& name : names) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(53);
    ::inet_pton(AF_INET, name.c_str(), &address.sin_addr);
    for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
      if (name == "127.0.0.11" && options.own_kernel) {
        // The sandbox's own loopback: a datagram socket connects to nobody, and a refusal comes a moment later.
        if (type == SOCK_STREAM && connects(address)) failed.push_back("network: " + name + " can be reached");
        continue;
      }
      check_unreachable(name.c_str(), AF_INET, type, reinterpret_cast<const sockaddr*>(&address), sizeof address,
                        failed);
    }
  }
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

void check_status(const SelftestOptions& options, Failures& failed) {
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
  if (!seccomp && !options.own_kernel) failed.emplace_back("seccomp: no filter");
  for (const std::string& line : lines_of(read_small("/proc/1/status")))
    if (line.starts_with("CapBnd:") && line.find_first_not_of("0 \t", 7) != std::string::npos)
      failed.emplace_back("capabilities: pid 1 kept some");
  if (read_small("/proc/1/comm") != "bottle-init\n") failed.emplace_back("pid 1 is not bottle-init");
  // gVisor shows it to its own uid whatever prctl(2) says: there is a PATH in it and nothing else.
  if (!options.own_kernel && ::access("/proc/1/environ", R_OK) == 0 && !read_small("/proc/1/environ").empty())
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

/// unshare(2) is not the only door: a filter that knows it alone leaves these two open.
bool clones_into_a_user_namespace() {
  return works_in_child([] {
    const long pid = ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0L, 0L, 0L, 0L);
    if (pid == 0) ::_exit(0);
    return pid > 0;
  });
}
bool clones_by_clone3() {
  return works_in_child([] {
    std::array<std::uint64_t, 8> arguments{};  // struct clone_args of its first version
    arguments[0] = CLONE_NEWUSER;
    arguments[4] = SIGCHLD;
    const long pid = ::syscall(435L /* clone3 */, arguments.data(), sizeof arguments);
    if (pid == 0) ::_exit(0);
    return pid > 0;
  });
}

void check_kernel_surface(const SelftestOptions& options, Failures& failed) {
  const auto opens = [](int family, int type, int protocol) {
    const UniqueFd socket(::socket(family, type | SOCK_CLOEXEC, protocol));
    return static_cast<bool>(socket);
  };
  if (opens(AF_INET, SOCK_RAW, IPPROTO_ICMP) || opens(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6))
    failed.emplace_back("raw sockets work");
  if (opens(AF_PACKET, SOCK_DGRAM, 0)) failed.emplace_back("packet sockets work");
  if (options.own_kernel) return;
  if (works_in_child([] { return ::unshare(CLONE_NEWUSER) == 0; }))
    failed.emplace_back("namespaces: a new user namespace can be made");
  if (clones_into_a_user_namespace()) failed.emplace_back("namespaces: a new user namespace can be made by clone");
  if (clones_by_clone3()) failed.emplace_back("namespaces: a new user namespace can be made by clone3");
  if (works_in_child([] { return ::unshare(CLONE_NEWNET) == 0; }))
    failed.emplace_back("namespaces: a new network namespace can be made");
  if (works_in_child([] { return ::mount("none", "/tmp", "tmpfs", 0, nullptr) == 0; }))
    failed.emplace_back("mount works");
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

/// Whether a blocking read(2) waits. On gVisor's --network=host (seen with runsc of 2022) it says EAGAIN, and most
/// programs take that for the end of their connection.
bool blocking_read_waits() {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const raw = reinterpret_cast<sockaddr*>(&address);
  if (!listener || ::bind(listener.get(), raw, size) != 0 || ::listen(listener.get(), 1) != 0 ||
      ::getsockname(listener.get(), raw, &size) != 0)
    return false;
  const UniqueFd reader(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!reader || ::connect(reader.get(), raw, size) != 0) return false;
  const UniqueFd writer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const pid_t pid = writer ? ::fork() : -1;
  if (pid == 0) {
    ::poll(nullptr, 0, 20);  // the reader comes first
    ::_exit(::send(writer.get(), "1", 1, MSG_NOSIGNAL) == 1 ? 0 : 1);
  }
  if (pid < 0) return false;
  char byte = 0;
  const bool waited = ::read(reader.get(), &byte, 1) == 1;
  ::waitpid(pid, nullptr, 0);
  return waited;
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
    const Target target = find_target(endpoint.socket);
    if (target.size == 0) continue;
    const UniqueFd upstream(::socket(target.raw()->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval patience{.tv_sec = 3, .tv_usec = 0};
    ::setsockopt(upstream.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (!upstream || ::connect(upstream.get(), target.raw(), target.size) != 0)
      failed.push_back("endpoint " + endpoint.name + ": the sidecar does not answer: " + std::strerror(errno));
  }
}

}  // namespace

std::vector<std::string> run_selftest(const SelftestOptions& options) {
  Failures failed;
  check_network_is_empty(options, failed);
  check_addresses(failed);
  check_wire_neighbours(options, failed);
  check_status(options, failed);
  check_kernel_surface(options, failed);
  if (options.own_kernel && !blocking_read_waits())
    failed.emplace_back("network: a blocking read from a socket does not wait: programs fail with EAGAIN");
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
