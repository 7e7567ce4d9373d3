// Escapes as a view of the text: what somebody sees who decodes it, as often as it can be decoded. Percent, JSON and C
// escapes, HTML entities, and Unicode characters that stand for ASCII ones or for nothing. Internal to sidecar/dlp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bot_bottle::dlp {

/// A text decoded as a whole, with the way back.
struct Unescaped {
  std::string text;
  std::vector<std::uint32_t> origin;  // origin[i]: where text[i] begins in the source; one more for the end
  /// True when [begin, end) of the text does not stand in the source as it is, with a character around it.
  [[nodiscard]] bool differs(std::size_t begin, std::size_t end) const {
    const std::size_t from = begin > 0 ? begin - 1 : 0;
    const std::size_t to = end < text.size() ? end + 1 : end;
    return origin[to] - origin[from] != to - from;
  }
};

/// All layers at once: what decoding yields is looked at again together with what stands before it, so "%2541" and
/// "&#37;41" are both "A". One pass; the work is linear because each decoding shortens the text.
Unescaped unescape(std::string_view text);

/// Where the first octet at or after `from` stands that decoding may change; npos when there is none. "\n" and its like
/// do not count: the skeleton folds them, the rules know them.
std::size_t find_escape(std::string_view text, std::size_t from = 0);

/// Line breaks and quotes as JSON writes them, for the rules: "\n" becomes white space, the backslashes before a quote
/// too, octet for octet, so that positions stay. Where the first one stands at or after `from`; npos when there is
/// none.
std::size_t find_quoting(std::string_view text, std::size_t from);
/// Of `text` from `begin` on, until `reach` octets after the last of them none is near: `apart` octets or more away.
/// Into `out`, whose memory is used again.
void without_quoting(std::string_view text, std::size_t begin, std::size_t reach, std::size_t apart, std::string& out);

/// What `code` is folded to: an ASCII character; 0 for nothing (zero-width and its like); -1: it stays.
/// An octet of 128 and more (variation selectors that carry octets) is returned as that.
int fold_code_point(std::uint32_t code);

/// For reports: the kind of the first escape in `text` ("percent", "json", "html", "unicode").
std::string_view kind_of_escape(std::string_view text);

}  // namespace bot_bottle::dlp
