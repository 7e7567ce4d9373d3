// 1.20 to 1.23: past the proxy, straight at the network (C1 to C4, C7, C9, C11).
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/base/unique_fd.hpp"
#include "sidecar/attack/probe.hpp"

namespace bot_bottle::attack {
namespace {

void add_dials(std::vector<Attempt>& out, const Context& base) {
  Subject dials(out, "1.20", "netns");
  const std::pair<const char*, std::uint16_t> tcp[] = {
      {"1.1.1.1", 443},          {"8.8.8.8", 80},         {"93.184.215.14", 443},
      {"169.254.169.254", 80},   {"100.100.100.200", 80}, {"10.0.2.2", 22},
      {"10.0.0.1", 443},         {"172.17.0.1", 2375},    {"172.18.0.1", 80},
      {"192.168.0.1", 80},       {"192.168.1.1", 80},     {"192.168.65.2", 80},
      {"192.168.122.1", 53},     {"100.64.0.1", 443},     {"169.254.1.1", 80},
      {"224.0.0.1", 80},         {"255.255.255.255", 80}, {"2606:4700:4700::1111", 443},
      {"fd00:ec2::254", 80},     {"fe80::1%lo", 80},      {"fe80::1%eth0", 80},
      {"64:ff9b::101:101", 443}, {"ff02::1%lo", 80}};
  for (const auto& [address, port] : tcp)
    dials.add(std::string("TCP to ") + address + ":" + std::to_string(port) + ", proxy unset (C2, C3)",
              [address = std::string(address), port = port](const Context&) {
                return dial_tcp(address, port, Where::elsewhere);
              });
  const std::pair<const char*, std::uint16_t> udp[] = {
      {"1.1.1.1", 443},          {"8.8.8.8", 123},        {"169.254.169.254", 53},
      {"172.17.0.1", 53},        {"10.0.2.3", 53},        {"224.0.0.251", 5353},
      {"239.255.255.250", 1900}, {"255.255.255.255", 67}, {"2606:4700:4700::1111", 443}};
  for (const auto& [address, port] : udp)
    dials.add(std::string("UDP to ") + address + ":" + std::to_string(port) + " (C2, C3)",
              [address = std::string(address), port = port](const Context&) {
                return send_udp(address, port, "bottle-attack", Where::elsewhere);
              });
  for (std::uint16_t port : base.host_ports)
    for (const char* address : {"127.0.0.1", "::1", "127.0.0.2", "0.0.0.0"})
      dials.add(std::string("TCP to the host's loopback ") + address + " port " + std::to_string(port) + " (C4, C11)",
                [address = std::string(address), port](const Context&) {
                  return dial_tcp(address, port, Where::own_loopback);
                });
  for (std::uint16_t port : base.host_udp_ports)
    dials.add("UDP to the host's loopback port " + std::to_string(port) + " (C4)",
              [port](const Context&) { return send_udp("127.0.0.1", port, "bottle-attack", Where::own_loopback); });
}

/// Only lo, whoever is asked.
Outcome list_interfaces() {
  struct Names {
    struct if_nameindex* list = ::if_nameindex();
    Names() = default;
    Names(const Names&) = delete;
    Names& operator=(const Names&) = delete;
    ~Names() {
      if (list != nullptr) ::if_freenameindex(list);
    }
  } names;
  if (names.list == nullptr) {
    const std::string text = read_start("/proc/net/dev", 65536);
    for (const char* name : {"eth", "ens", "enp", "wlan", "docker", "br-", "veth", "tap", "tun"})
      if (text.find(name) != std::string::npos) return escaped("/proc/net/dev shows " + std::string(name));
    return blocked("no list");
  }
  std::string others;
  for (const auto* each = names.list; each->if_index != 0; ++each) {
    // Tunnel stubs that the kernel's modules put in every new namespace are down and lead nowhere.
    const std::string name = each->if_name;
    if (name == "lo" || name == "tunl0" || name == "sit0" || name == "ip6tnl0" || name == "gre0" || name == "gretap0" ||
        name == "erspan0" || name == "ip_vti0" || name == "ip6_vti0" || name == "ip6gre0")
      continue;
    others += " " + name;
  }
  return others.empty() ? blocked("only lo") : escaped("interfaces:" + others);
}

/// A listing of all that listens on the loopback: only the named endpoints may answer.
Outcome scan_loopback(const Context& context) {
  std::string open;
  for (unsigned port = 1; port < 65536; ++port) {
    if (port == 53 || port == context.proxy_port || port == 9418 || port == 9100) continue;
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!fd) return failed("socket: " + errno_name(errno));
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) continue;
    sockaddr_in own{};
    socklen_t size = sizeof own;
    ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&own), &size);
    if (own.sin_port != address.sin_port) open += " " + std::to_string(port);  // else: a socket that met itself
  }
  return open.empty() ? blocked("only the named endpoints") : escaped("open:" + open);
}

/// Asks rtnetlink for `type` (a route or a link); the answer carries an errno.
Outcome change_by_netlink(std::uint16_t type) {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd) return judge_call(-1, {EPERM, EACCES, EAFNOSUPPORT, ENOSYS});
  struct {
    nlmsghdr header;
    rtmsg route;
    rtattr attribute;
    std::uint32_t interface;
  } message{};
  message.header.nlmsg_len = sizeof message;
  message.header.nlmsg_type = type;
  message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE;
  message.route.rtm_family = AF_INET;
  message.route.rtm_table = RT_TABLE_MAIN;
  message.route.rtm_protocol = RTPROT_BOOT;
  message.route.rtm_scope = RT_SCOPE_LINK;
  message.route.rtm_type = RTN_UNICAST;
  message.attribute.rta_type = RTA_OIF;
  message.attribute.rta_len = RTA_LENGTH(sizeof message.interface);
  message.interface = 1;
  if (::send(fd.get(), &message, sizeof message, 0) < 0) return judge_privileged(-1);
  pollfd wait{fd.get(), POLLIN, 0};
  std::array<char, 1024> answer{};
  if (::poll(&wait, 1, 2000) != 1 ||
      ::recv(fd.get(), answer.data(), answer.size(), 0) < static_cast<ssize_t>(sizeof(nlmsghdr) + sizeof(nlmsgerr)))
    return failed("netlink does not answer");
  nlmsgerr error{};
  std::memcpy(&error, answer.data() + sizeof(nlmsghdr), sizeof error);
  errno = -error.error;
  return judge_privileged(error.error == 0 ? 0 : -1);
}

void add_raw(std::vector<Attempt>& out) {
  Subject raw(out, "1.21", "netns");
  raw.add("ICMP echo through a datagram socket (C1)", [](const Context&) {
    UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP));
    if (!fd) return judge_call(-1, {EPERM, EACCES, EPROTONOSUPPORT, EAFNOSUPPORT});
    icmphdr echo{};
    echo.type = ICMP_ECHO;
    sockaddr_in peer{};
    peer.sin_family = AF_INET;
    peer.sin_addr.s_addr = htonl(0x01010101);
    return judge_call(::sendto(fd.get(), &echo, sizeof echo, 0, reinterpret_cast<sockaddr*>(&peer), sizeof peer),
                      {ENETUNREACH, EHOSTUNREACH, EPERM, EACCES});
  });
  raw.add("the list of interfaces shows only lo", [](const Context&) { return list_interfaces(); });
  raw.add(
      "every TCP port of the loopback: only the named endpoints answer (C11)",
      [](const Context& context) { return scan_loopback(context); }, std::chrono::seconds(60));

  Subject families(out, "1.22", "seccomp");
  const std::pair<const char*, std::array<int, 3>> sockets[] = {
      {"raw IPv4 (ICMP)", {AF_INET, SOCK_RAW, IPPROTO_ICMP}},
      {"raw IPv4 with own headers", {AF_INET, SOCK_RAW, IPPROTO_RAW}},
      {"raw IPv6 (ICMPv6)", {AF_INET6, SOCK_RAW, IPPROTO_ICMPV6}},
      {"AF_PACKET", {AF_PACKET, SOCK_RAW, 0x0300}},
      {"AF_PACKET, cooked", {AF_PACKET, SOCK_DGRAM, 0x0300}},
      {"AF_VSOCK (C9)", {AF_VSOCK, SOCK_STREAM, 0}},
      {"AF_ALG", {AF_ALG, SOCK_SEQPACKET, 0}},
      {"AF_BLUETOOTH", {AF_BLUETOOTH, SOCK_RAW, 1}},
      {"AF_CAN", {AF_CAN, SOCK_RAW, 1}},
      {"AF_TIPC", {AF_TIPC, SOCK_RDM, 0}},
      {"AF_KEY", {AF_KEY, SOCK_RAW, 2}},
      {"AF_PPPOX", {AF_PPPOX, SOCK_STREAM, 0}},
      {"AF_RDS", {AF_RDS, SOCK_SEQPACKET, 0}},
      {"AF_XDP", {44, SOCK_RAW, 0}},
      {"AF_SMC", {43, SOCK_STREAM, 0}},
      {"AF_QIPCRTR", {42, SOCK_DGRAM, 0}},
      {"AF_KCM", {41, SOCK_DGRAM, 0}},
      {"AF_NFC", {39, SOCK_RAW, 0}},
      {"AF_X25", {AF_X25, SOCK_SEQPACKET, 0}},
      {"AF_APPLETALK", {AF_APPLETALK, SOCK_DGRAM, 0}},
      {"NETLINK_AUDIT", {AF_NETLINK, SOCK_RAW, NETLINK_AUDIT}},
      {"NETLINK_NETFILTER", {AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER}},
      {"NETLINK_XFRM", {AF_NETLINK, SOCK_RAW, NETLINK_XFRM}},
      {"NETLINK_KOBJECT_UEVENT", {AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT}},
  };
  for (const auto& [text, triple] : sockets)
    families.add(std::string("socket: ") + text + " (C7)", [triple = triple](const Context&) {
      UniqueFd fd(::socket(triple[0], triple[1] | SOCK_CLOEXEC, triple[2]));
      return judge_call(fd ? 0 : -1, {EPERM, EACCES, EAFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT, ENOSYS});
    });

  Subject routes(out, "1.23", "caps");
  routes.add("add a route by netlink (C7)", [](const Context&) { return change_by_netlink(RTM_NEWROUTE); });
  routes.add("bind a socket to an interface", [](const Context&) {
    UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    // A socket that is bound already cannot be moved without CAP_NET_RAW.
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, "lo", 2) != 0)
      return judge_call(-1, {EPERM, EACCES, ENOSYS});
    return judge_call(::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, "", 0), {EPERM, EACCES});
  });
  routes.add("transparent proxying", [](const Context&) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    return judge_call(::setsockopt(fd.get(), SOL_IP, IP_TRANSPARENT, &on, sizeof on), {EPERM, EACCES});
  });
}

}  // namespace

void add_reach_direct(std::vector<Attempt>& out, const Context& context) {
  add_dials(out, context);
  add_raw(out);
}

}  // namespace bot_bottle::attack
