#include "sidecar/guest/dns.hpp"

#include <array>
#include <utility>

namespace bot_bottle::guest {
namespace {

constexpr std::size_t header_bytes = 12;
constexpr std::size_t max_name_octets = 255;  // RFC 1035 2.3.4
constexpr std::uint8_t rcode_format_error = 1;
constexpr std::uint8_t rcode_refused = 5;

std::uint8_t octet(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint8_t>(bytes[at]);
}

std::uint16_t u16(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint16_t>((octet(bytes, at) << 8) | octet(bytes, at + 1));
}

/// The question's header with QR set and `rcode`, one or no question, all other counts zero.
std::string make_reply(std::string_view packet, std::uint8_t rcode, std::string_view question) {
  std::string reply(packet.substr(0, 2));
  reply.push_back(static_cast<char>(0x80 | (octet(packet, 2) & 0x79)));  // QR, the opcode and RD of the question
  reply.push_back(static_cast<char>(rcode));
  reply.push_back('\0');
  reply.push_back(question.empty() ? '\0' : '\1');
  reply.append(6, '\0');
  reply += question;
  return reply;
}

void append_octet(std::string& name, std::uint8_t value) {
  if (value == '.' || value == '\\') {
    name.push_back('\\');
    name.push_back(static_cast<char>(value));
  } else if (value > 0x20 && value < 0x7f) {
    name.push_back(static_cast<char>(value));
  } else {
    name.push_back('\\');
    name.push_back(static_cast<char>('0' + value / 100));
    name.push_back(static_cast<char>('0' + value / 10 % 10));
    name.push_back(static_cast<char>('0' + value % 10));
  }
}

std::string type_name(std::uint16_t type) {
  static constexpr std::array<std::pair<std::uint16_t, const char*>, 16> known{{{1, "A"},
                                                                                {2, "NS"},
                                                                                {5, "CNAME"},
                                                                                {6, "SOA"},
                                                                                {10, "NULL"},
                                                                                {12, "PTR"},
                                                                                {15, "MX"},
                                                                                {16, "TXT"},
                                                                                {28, "AAAA"},
                                                                                {33, "SRV"},
                                                                                {43, "DS"},
                                                                                {48, "DNSKEY"},
                                                                                {64, "SVCB"},
                                                                                {65, "HTTPS"},
                                                                                {255, "ANY"},
                                                                                {257, "CAA"}}};
  for (const auto& [number, name] : known)
    if (number == type) return name;
  return "TYPE" + std::to_string(type);
}

std::string json_escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);  // printable ASCII only: append_octet saw to it
  }
  return out;
}

}  // namespace

DnsAnswer answer_dns(std::string_view packet) {
  DnsAnswer answer;
  if (packet.size() < header_bytes || (octet(packet, 2) & 0x80) != 0) return answer;
  const auto malformed = [&] {
    answer = DnsAnswer{};
    answer.verdict = DnsVerdict::malformed;
    answer.reply = make_reply(packet, rcode_format_error, {});
    return answer;
  };
  const std::uint16_t additional = u16(packet, 10);
  if (packet.size() > max_dns_question || u16(packet, 4) != 1 || u16(packet, 6) != 0 || u16(packet, 8) != 0 ||
      additional > 2)
    return malformed();
  std::size_t at = header_bytes;
  while (true) {
    if (at >= packet.size()) return malformed();
    const std::uint8_t length = octet(packet, at);
    ++at;
    if (length == 0) break;
    if (length > 63 || at + length > packet.size() || at + length - header_bytes >= max_name_octets) return malformed();
    if (!answer.name.empty()) answer.name.push_back('.');
    for (std::size_t i = 0; i < length; ++i) append_octet(answer.name, octet(packet, at + i));
    at += length;
  }
  if (at + 4 > packet.size()) return malformed();
  answer.type = type_name(u16(packet, at));
  at += 4;
  if (additional == 0 && at != packet.size()) return malformed();
  answer.verdict = DnsVerdict::refused;
  answer.reply = make_reply(packet, rcode_refused, packet.substr(header_bytes, at - header_bytes));
  return answer;
}

std::string dns_report(const DnsAnswer& answer, std::string_view transport) {
  std::string name = json_escape(answer.name);
  if (name.size() > 900) {
    name.resize(900);
    while (!name.empty() && name.back() == '\\') name.pop_back();  // no half of an escape at the cut
    name += "...";
  }
  return R"({"kind":"dns","name":")" + name + R"(","type":")" + answer.type + R"(","transport":")" +
         std::string(transport) + "\"}";
}

}  // namespace bot_bottle::guest
