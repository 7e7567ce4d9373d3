// Every packet an agent can send to the bottle's resolver: the reply is bounded and echoes the question, the report is
// JSON.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/base/json.hpp"
#include "sidecar/guest/dns.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bot_bottle;
  const std::string_view packet(reinterpret_cast<const char*>(data), size);
  const guest::DnsAnswer answer = guest::answer_dns(packet);
  if (answer.verdict == guest::DnsVerdict::ignored) {
    if (!answer.reply.empty()) std::abort();
    return 0;
  }
  if (answer.reply.size() < 12 || answer.reply.size() > packet.size() ||
      answer.reply.substr(0, 2) != packet.substr(0, 2))
    std::abort();
  if ((answer.reply[2] & 0x80) == 0) std::abort();
  if (answer.verdict == guest::DnsVerdict::refused &&
      packet.substr(12, answer.reply.size() - 12) != answer.reply.substr(12))
    std::abort();
  const std::string report = guest::dns_report(answer, "udp");
  if (report.size() > 1024 || !parse_json_object(report)) std::abort();
  return 0;
}
