// The DNS sink of a bottle: reads a question, answers REFUSED, gives the name to report. Nothing is ever resolved, so
// no name carries data out (attacks B1-B6), and each try is seen. Hostile input: every packet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bot_bottle::guest {

/// RFC 1035 4.2.1; with EDNS larger questions are legal and useless.
inline constexpr std::size_t max_dns_question = 512;

enum class DnsVerdict : std::uint8_t {
  refused,    // a well-formed question: `reply` says REFUSED, `name` and `type` are set
  malformed,  // `reply` says FORMERR
  ignored,    // not a question at all: no reply (a reply to a reply is a loop)
};

struct DnsAnswer {
  DnsVerdict verdict = DnsVerdict::ignored;
  std::string reply;
  std::string name;  // presentation form (RFC 1035 5.1, octets outside printable ASCII as \DDD), no dot at the end
  std::string type;  // "A", "AAAA", or "TYPE65280" (RFC 3597)
};

/// Strict: one question, no compression (RFC 1035 4.1.4 needs an earlier name, and there is none), class and type
/// present, nothing behind it but what the additional count announces.
DnsAnswer answer_dns(std::string_view packet);

/// The report datagram (docs/internals.md), at most 1 KiB.
std::string dns_report(const DnsAnswer& answer, std::string_view transport);

}  // namespace bot_bottle::guest
