#include "sidecar/guest/seal.hpp"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "core/base/unique_fd.hpp"

namespace bot_bottle::guest {
namespace {

struct Route {
  std::uint32_t destination = 0;  // network order
  unsigned char bits = 0;
  unsigned char type = RTN_UNICAST;
  unsigned char scope = RT_SCOPE_LINK;
  unsigned table = RT_TABLE_MAIN;
  int device = 0;
};

/// One request with its acknowledgement; 0 or an errno.
int ask(int socket, std::uint16_t kind, std::uint16_t flags, const Route& route) {
  struct {
    nlmsghdr head;
    rtmsg body;
    std::array<char, 64> attributes;
  } request{};
  request.head.nlmsg_len = NLMSG_LENGTH(sizeof(rtmsg));
  request.head.nlmsg_type = kind;
  request.head.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
  request.body.rtm_family = AF_INET;
  request.body.rtm_dst_len = route.bits;
  request.body.rtm_table = static_cast<unsigned char>(route.table);
  // A route is removed whoever made it: its protocol and scope are not asked for.
  request.body.rtm_protocol = kind == RTM_DELROUTE ? RTPROT_UNSPEC : RTPROT_STATIC;
  request.body.rtm_scope = kind == RTM_DELROUTE ? static_cast<unsigned char>(RT_SCOPE_NOWHERE) : route.scope;
  request.body.rtm_type = route.type;
  std::size_t used = 0;
  const auto add = [&](unsigned short type, const void* data, std::size_t size) {
    rtattr attribute{};
    attribute.rta_len = static_cast<unsigned short>(sizeof attribute + size);
    attribute.rta_type = type;
    char* at = request.attributes.data() + used;  // every attribute here is four bytes: no padding between
    std::memcpy(at, &attribute, sizeof attribute);
    std::memcpy(at + sizeof attribute, data, size);
    used += attribute.rta_len;
    request.head.nlmsg_len = static_cast<std::uint32_t>(NLMSG_LENGTH(sizeof(rtmsg)) + used);
  };
  add(RTA_DST, &route.destination, sizeof route.destination);
  if (route.device != 0) add(RTA_OIF, &route.device, sizeof route.device);
  if (::send(socket, &request, request.head.nlmsg_len, 0) < 0) return errno;
  alignas(nlmsghdr) std::array<char, 4096> answer{};
  const ssize_t got = ::recv(socket, answer.data(), answer.size(), 0);
  if (got < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(nlmsgerr)))) return EPROTO;
  nlmsgerr error{};
  std::memcpy(&error, answer.data() + NLMSG_LENGTH(0), sizeof error);
  return -error.error;
}

/// An rtmsg with its attributes; the kernel's own, so only cut short where it ends.
Route parse_route(std::string_view message) {
  rtmsg body{};
  std::memcpy(&body, message.data(), sizeof body);
  Route route{.bits = body.rtm_dst_len, .type = body.rtm_type, .scope = body.rtm_scope, .table = body.rtm_table};
  message.remove_prefix(std::min<std::size_t>(message.size(), NLMSG_ALIGN(sizeof body)));
  while (message.size() >= sizeof(rtattr)) {
    rtattr attribute{};
    std::memcpy(&attribute, message.data(), sizeof attribute);
    if (attribute.rta_len < sizeof attribute || attribute.rta_len > message.size()) break;
    const std::string_view value = message.substr(sizeof attribute, attribute.rta_len - sizeof attribute);
    if (attribute.rta_type == RTA_DST && value.size() == sizeof route.destination)
      std::memcpy(&route.destination, value.data(), value.size());
    if (attribute.rta_type == RTA_OIF && value.size() == sizeof route.device)
      std::memcpy(&route.device, value.data(), value.size());
    message.remove_prefix(std::min<std::size_t>(message.size(), (attribute.rta_len + 3U) & ~3U));
  }
  return route;
}

/// Every IPv4 route of all tables, by its kernel's own dump.
bool list_routes(int socket, std::vector<Route>& into) {
  struct {
    nlmsghdr head;
    rtmsg body;
  } request{};
  request.head.nlmsg_len = NLMSG_LENGTH(sizeof(rtmsg));
  request.head.nlmsg_type = RTM_GETROUTE;
  request.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.body.rtm_family = AF_INET;
  if (::send(socket, &request, request.head.nlmsg_len, 0) < 0) return false;
  alignas(nlmsghdr) std::array<char, 32768> answer{};
  while (true) {
    const ssize_t got = ::recv(socket, answer.data(), answer.size(), 0);
    if (got <= 0) return false;
    std::string_view left(answer.data(), static_cast<std::size_t>(got));
    while (left.size() >= sizeof(nlmsghdr)) {
      nlmsghdr head{};
      std::memcpy(&head, left.data(), sizeof head);
      if (head.nlmsg_type == NLMSG_DONE) return true;
      if (head.nlmsg_type != RTM_NEWROUTE || head.nlmsg_len < NLMSG_LENGTH(sizeof(rtmsg)) ||
          head.nlmsg_len > left.size())
        return false;
      into.push_back(parse_route(left.substr(NLMSG_LENGTH(0), head.nlmsg_len - NLMSG_LENGTH(0))));
      left.remove_prefix(std::min<std::size_t>(left.size(), NLMSG_ALIGN(head.nlmsg_len)));
    }
  }
}

int complain(const std::string& what, int number) {
  const std::string line = "bottle-init: cannot seal the network: " + what + ": " + std::strerror(number) + "\n";
  [[maybe_unused]] const ssize_t told = ::write(2, line.data(), line.size());
  return 1;
}

}  // namespace

int seal_network(const std::string& address) {
  Route sidecar{.bits = 32};
  Route resolver{.bits = 32, .type = RTN_BLACKHOLE, .scope = RT_SCOPE_UNIVERSE, .table = RT_TABLE_LOCAL};
  if (::inet_pton(AF_INET, address.c_str(), &sidecar.destination) != 1 ||
      ::inet_pton(AF_INET, "127.0.0.11", &resolver.destination) != 1)
    return complain(address, EINVAL);
  const UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket) return complain("netlink", errno);
  std::vector<Route> routes;
  if (!list_routes(socket.get(), routes)) return complain("listing the routes", errno);
  for (const Route& route : routes) {
    if (route.device > 1) sidecar.device = route.device;
  }
  if (sidecar.device == 0) return complain("there is no interface", ENODEV);
  if (const int code = ask(socket.get(), RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sidecar); code != 0)
    return complain("the route to " + address, code);
  for (const Route& route : routes) {
    const bool broadcast = route.type == RTN_BROADCAST && route.device > 1;
    if (!broadcast && (route.type != RTN_UNICAST || route.table != RT_TABLE_MAIN)) continue;
    if (const int code = ask(socket.get(), RTM_DELROUTE, 0, route); code != 0 && code != ESRCH)
      return complain("removing a route", code);
  }
  if (const int code = ask(socket.get(), RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, resolver); code != 0)
    return complain("the black hole for the resolver", code);
  return 0;
}

}  // namespace bot_bottle::guest
