// The canaries of host.hpp: TCP on both loopbacks, UDP, an abstract unix socket; each contact is a line in the log.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "core/base/random.hpp"
#include "core/base/text.hpp"
#include "core/base/unique_fd.hpp"
#include "sidecar/attack/host.hpp"

namespace bot_bottle::attack {
namespace {

struct Listener {
  UniqueFd fd;
  std::string what;
  bool datagrams = false;
};

/// Port 0 picks one; gives the port.
Result<std::uint16_t> listen_inet(int family, int type, std::uint16_t port, std::vector<Listener>& out) {
  UniqueFd fd(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return error_from_errno("socket", errno);
  sockaddr_storage address{};
  socklen_t size = 0;
  if (family == AF_INET) {
    auto* four = reinterpret_cast<sockaddr_in*>(&address);
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    size = sizeof *four;
  } else {
    auto* six = reinterpret_cast<sockaddr_in6*>(&address);
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(port);
    six->sin6_addr = in6addr_loopback;
    size = sizeof *six;
  }
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) return error_from_errno("bind", errno);
  if (type == SOCK_STREAM && ::listen(fd.get(), 64) != 0) return error_from_errno("listen", errno);
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  const std::uint16_t got = ntohs(family == AF_INET ? reinterpret_cast<sockaddr_in*>(&address)->sin_port
                                                    : reinterpret_cast<sockaddr_in6*>(&address)->sin6_port);
  out.push_back({std::move(fd),
                 std::string(type == SOCK_STREAM ? "tcp " : "udp ") + (family == AF_INET ? "127.0.0.1:" : "[::1]:") +
                     std::to_string(got),
                 type == SOCK_DGRAM});
  return got;
}

Result<void> listen_abstract(const std::string& name, std::vector<Listener>& out) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return error_from_errno("socket", errno);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(static_cast<char*>(address.sun_path) + 1, name.data(), name.size());
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address),
             static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())) != 0)
    return error_from_errno("bind", errno);
  if (::listen(fd.get(), 64) != 0) return error_from_errno("listen", errno);
  out.push_back({std::move(fd), "unix @" + name, false});
  return {};
}

}  // namespace

Result<void> run_canary(const CanaryOptions& options) {
  std::vector<Listener> listeners;
  json::array tcp;
  json::array udp;
  for (int i = 0; i < 2; ++i) {
    BB_TRY(const std::uint16_t port, listen_inet(AF_INET, SOCK_STREAM, 0, listeners));
    // The same port on IPv6, where this host has it and the port is free.
    if (auto six = listen_inet(AF_INET6, SOCK_STREAM, port, listeners); !six && six.error().kind == ErrorKind::internal)
      return six.error();
    tcp.emplace_back(port);
  }
  BB_TRY(const std::uint16_t port, listen_inet(AF_INET, SOCK_DGRAM, 0, listeners));
  udp.emplace_back(port);
  const std::string name = "bottle-attack-canary-" + random_base36(10);
  BB_CHECK(listen_abstract(name, listeners));

  UniqueFd log(::open(options.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!log) return error_from_errno("opening " + options.log, errno);
  BB_CHECK(write_file_atomic(options.port_file,
                             to_text(json::object{{"ports", tcp}, {"udp_ports", udp}, {"abstract", name}}) + "\n"));

  std::vector<pollfd> waits;
  for (const Listener& listener : listeners) waits.push_back({listener.fd.get(), POLLIN, 0});
  waits.push_back({STDIN_FILENO, POLLIN, 0});
  for (;;) {
    if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) return error_from_errno("poll", errno);
    std::array<char, 4096> buffer{};
    if (waits.back().revents != 0 && ::read(STDIN_FILENO, buffer.data(), buffer.size()) <= 0) return {};
    for (std::size_t i = 0; i < listeners.size(); ++i) {
      if (waits[i].revents == 0) continue;
      json::object line{{"contact", listeners[i].what}};
      if (listeners[i].datagrams) {
        const ssize_t size = ::recv(listeners[i].fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        line["octets"] = base64_encode({buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))});
      } else {
        UniqueFd peer(::accept4(listeners[i].fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!peer) continue;
      }
      BB_CHECK(write_all(log.get(), to_text(line) + "\n"));
    }
  }
}

}  // namespace bot_bottle::attack
