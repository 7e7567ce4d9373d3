// Line breaks and quotes as JSON writes them, and what an escape is called.
#include <algorithm>
#include <array>
#include <bit>

#include "sidecar/dlp/octet_skips.hpp"
#include "sidecar/dlp/unescape.hpp"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace bot_bottle::dlp {

std::size_t find_quoting(std::string_view text, std::size_t from) {
  static constexpr auto quoted = [] {
    std::array<bool, 256> table{};
    for (const char c : std::string_view("nrtbfv\"'\\")) table[static_cast<unsigned char>(c)] = true;
    return table;
  }();
  const auto begins = [&](std::size_t at) {
    return at + 1 < text.size() && quoted[static_cast<unsigned char>(text[at + 1])];
  };
#if defined(__x86_64__)
  const __m128i backslash = _mm_set1_epi8('\\');
  for (from = skip_without_backslash(text, from); from + 16 <= text.size();) {
    const __m128i octets = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + from));
    const auto found = static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(octets, backslash)));
    for (unsigned mask = found; mask != 0; mask &= mask - 1) {
      const std::size_t at = from + static_cast<unsigned>(std::countr_zero(mask));
      if (begins(at)) return at;
    }
    from += 16;
    if (found == 0) from = skip_without_backslash(text, from);
  }
#endif
  for (; from < text.size(); ++from)
    if (text[from] == '\\' && begins(from)) return from;
  return std::string_view::npos;
}

void without_quoting(std::string_view text, std::size_t begin, std::size_t reach, std::size_t apart, std::string& out) {
  out.clear();
  out.reserve(text.size() - begin);
  std::size_t copied = begin;
  for (std::size_t at = find_quoting(text, begin); at != std::string_view::npos;) {
    std::size_t end = at;
    while (end < text.size() && text[end] == '\\') ++end;
    const char c = end < text.size() ? text[end] : '\0';
    const bool quote = c == '"' || c == '\'';
    const bool space = c == 'n' || c == 'r' || c == 't' || c == 'b' || c == 'f' || c == 'v';
    out += text.substr(copied, at - copied);
    out.append(end - at, quote || space ? ' ' : '\\');
    if (end < text.size()) out += !space ? c : c == 'n' || c == 'r' ? '\n' : ' ';
    copied = std::min(end + 1, text.size());
    at = find_quoting(text, copied);
    if (at != std::string_view::npos && at - copied > apart) break;
  }
  out += text.substr(copied, reach);
}

std::string_view kind_of_escape(std::string_view text) {
  const std::size_t at = find_escape(text);
  if (at == std::string_view::npos) return "json";  // a simple one
  switch (text[at]) {
    case '%':
      return "percent";
    case '\\':
      return "json";
    case '&':
      return "html";
    default:
      return "unicode";
  }
}

}  // namespace bot_bottle::dlp
