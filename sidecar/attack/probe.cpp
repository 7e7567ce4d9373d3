// See probe.hpp.
#include "sidecar/attack/probe.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "core/base/unique_fd.hpp"

namespace bot_bottle::attack {
namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

Address make_address(const std::string& text, std::uint16_t port) {
  Address out;
  auto* four = reinterpret_cast<sockaddr_in*>(&out.storage);
  if (::inet_pton(AF_INET, text.c_str(), &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    out.size = sizeof *four;
    return out;
  }
  auto* six = reinterpret_cast<sockaddr_in6*>(&out.storage);
  const std::size_t zone = text.find('%');
  six->sin6_family = AF_INET6;
  six->sin6_port = htons(port);
  ::inet_pton(AF_INET6, text.substr(0, zone).c_str(), &six->sin6_addr);
  if (zone != std::string::npos) six->sin6_scope_id = ::if_nametoindex(text.c_str() + zone + 1);
  out.size = sizeof *six;
  return out;
}

// What "no network but this one" looks like: no route, no such family, no such interface (EINVAL, ENODEV), or a
// filter's refusal.
bool is_no_network(int number) {
  for (int known : {ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, EAFNOSUPPORT, EPERM, EACCES, ENETDOWN, ENODEV, EINVAL})
    if (number == known) return true;
  return false;
}

}  // namespace

std::string errno_name(int number) {
  const char* name = ::strerrorname_np(number);
  return name != nullptr ? name : std::to_string(number);
}

Outcome judge_call(long result, std::initializer_list<int> refusals) {
  const int number = errno;
  if (result >= 0) return escaped("succeeded");
  if (std::find(refusals.begin(), refusals.end(), number) != refusals.end()) return blocked(errno_name(number));
  return failed("unexpected " + errno_name(number));
}

Outcome judge_privileged(long result) {
  return judge_call(result, {EPERM, EACCES, ENOSYS});
}

Outcome dial_tcp(const std::string& address, std::uint16_t port, Where where) {
  const Address peer = make_address(address, port);
  UniqueFd fd(::socket(peer.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return judge_call(-1, {EAFNOSUPPORT, EPERM, EACCES});
  int number = 0;
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&peer.storage), peer.size) != 0) {
    number = errno;
    if (number == EINPROGRESS) {
      pollfd wait{fd.get(), POLLOUT, 0};
      if (::poll(&wait, 1, 3000) == 0) return failed("no answer within 3 s: packets leave");
      socklen_t size = sizeof number;
      ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &number, &size);
    }
  }
  if (number == 0) return escaped("connected");
  if (is_no_network(number) || (where == Where::own_loopback && number == ECONNREFUSED))
    return blocked(errno_name(number));
  // A peer elsewhere that says "refused" was reached.
  if (number == ECONNREFUSED) return escaped("reached the peer: ECONNREFUSED");
  return failed("unexpected " + errno_name(number));
}

Outcome send_udp(const std::string& address, std::uint16_t port, std::string_view payload, Where where) {
  const Address peer = make_address(address, port);
  UniqueFd fd(::socket(peer.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return judge_call(-1, {EAFNOSUPPORT, EPERM, EACCES});
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&peer.storage), peer.size) != 0 ||
      ::send(fd.get(), payload.data(), payload.size(), MSG_NOSIGNAL) < 0) {
    const int number = errno;
    if (is_no_network(number) || (where == Where::own_loopback && number == ECONNREFUSED))
      return blocked(errno_name(number));
    return failed("unexpected " + errno_name(number));
  }
  if (where == Where::elsewhere) return escaped("the datagram was sent");
  pollfd wait{fd.get(), POLLIN, 0};
  if (::poll(&wait, 1, 1000) == 0) return failed("nothing refuses it within 1 s: somebody may listen");
  std::array<char, 2048> buffer{};
  if (::recv(fd.get(), buffer.data(), buffer.size(), 0) >= 0) return escaped("answered");
  return judge_call(-1, {ECONNREFUSED});
}

Outcome open_path(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600));
  if (fd) return escaped("opened " + path);
  return judge_call(-1, {ENOENT, EACCES, EPERM, EROFS, ENOTDIR, ENXIO, ENODEV, ELOOP});
}

std::string read_start(const std::string& path, std::size_t size) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  std::string out(size, '\0');
  if (!fd) return {};
  const ssize_t count = ::read(fd.get(), out.data(), out.size());
  out.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return out;
}

}  // namespace bot_bottle::attack
