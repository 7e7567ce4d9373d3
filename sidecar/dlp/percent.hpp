// Percent escapes as a view of the text: what an origin will see after decoding. Internal to sidecar/dlp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bot_bottle::dlp {

/// The octet of "%XX" at text[at], or -1 when there is none (then '%' is itself).
int escape_at(std::string_view text, std::size_t at);
/// Where the first valid escape at or after `from` begins; npos when there is none.
std::size_t find_escape(std::string_view text, std::size_t from = 0);
/// True when `text` ends in "%" or "%X": what follows may make an escape of it.
bool ends_in_partial_escape(std::string_view text);

/// A text decoded as a whole, with the way back.
struct DecodedText {
  std::string text;
  std::vector<std::uint32_t> origin;  // origin[i]: where text[i] begins in the source; one more for the end
};
DecodedText decode_percent(std::string_view text);

}  // namespace bot_bottle::dlp
