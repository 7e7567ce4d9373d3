// Git's framing (gitprotocol-common): four hex digits of length, then the payload. Hostile input: every octet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bot_bottle::git_gate {

/// Reads packets off a text that grows. Stricter than git: lengths are lower- or upper-case hex digits and nothing
/// else ("+1", " 1" are bad), 0003 is bad, and no packet is over 65520 octets with its length.
class PktReader {
 public:
  enum class Event : std::uint8_t { need_more, data, flush, delimiter, response_end, bad };
  /// Advances `input` over what it gives; `payload` points into it.
  static Event next(std::string_view& input, std::string_view& payload);
};

inline constexpr std::size_t max_pkt_payload = 65516;

/// `payload` has at most max_pkt_payload octets; what is over is cut off (only our own texts come here).
void write_pkt(std::string& out, std::string_view payload);
inline void write_flush(std::string& out) {
  out += "0000";
}
/// side-band-64k: band 1 data, 2 progress, 3 a fatal error. Splits what is larger than a packet.
void write_band(std::string& out, char band, std::string_view bytes);

}  // namespace bot_bottle::git_gate
