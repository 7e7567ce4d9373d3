#include "sidecar/dlp/percent.hpp"

#include <cstring>

namespace bot_bottle::dlp {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

int escape_at(std::string_view text, std::size_t at) {
  if (at + 2 >= text.size() || text[at] != '%') return -1;
  const int high = hex_value(text[at + 1]);
  const int low = hex_value(text[at + 2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

std::size_t find_escape(std::string_view text, std::size_t from) {
  while (from < text.size()) {
    const void* found = std::memchr(text.data() + from, '%', text.size() - from);
    if (found == nullptr) break;
    from = static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
    if (escape_at(text, from) >= 0) return from;
    ++from;
  }
  return std::string_view::npos;
}

bool ends_in_partial_escape(std::string_view text) {
  if (text.ends_with('%')) return true;
  return text.size() >= 2 && text[text.size() - 2] == '%' && hex_value(text.back()) >= 0;
}

DecodedText decode_percent(std::string_view text) {
  DecodedText decoded;
  decoded.text.reserve(text.size());
  decoded.origin.reserve(text.size() + 1);
  for (std::size_t at = 0; at < text.size();) {
    const int octet = escape_at(text, at);
    decoded.origin.push_back(static_cast<std::uint32_t>(at));
    decoded.text += octet >= 0 ? static_cast<char>(octet) : text[at];
    at += octet >= 0 ? 3U : 1U;
  }
  decoded.origin.push_back(static_cast<std::uint32_t>(text.size()));
  return decoded;
}

}  // namespace bot_bottle::dlp
