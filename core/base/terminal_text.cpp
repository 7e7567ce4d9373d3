#include "core/base/terminal_text.hpp"

#include <fmt/format.h>

#include <cstdint>

#include "core/base/text.hpp"

namespace bot_bottle {
namespace {

/// Invisible or direction-changing characters (Unicode 15: Bidi_Control, Default_Ignorable, Zl, Zp).
bool is_deceptive(std::uint32_t point) {
  return point < 0x20 || (point >= 0x7F && point <= 0x9F) || point == 0xAD || point == 0x34F || point == 0x61C ||
         point == 0x115F || point == 0x1160 || point == 0x17B4 || point == 0x17B5 ||
         (point >= 0x180B && point <= 0x180F) || (point >= 0x200B && point <= 0x200F) ||
         (point >= 0x2028 && point <= 0x202E) || (point >= 0x2060 && point <= 0x206F) || point == 0x3164 ||
         (point >= 0xFE00 && point <= 0xFE0F) || point == 0xFEFF || point == 0xFFA0 ||
         (point >= 0xFFF0 && point <= 0xFFFB) || (point >= 0x1D173 && point <= 0x1D17A) || point >= 0xE0000;
}

std::string escape(std::string_view text, std::size_t max_bytes, std::string_view kept) {
  std::string out;
  std::size_t at = 0;
  while (at < text.size()) {
    if (out.size() >= max_bytes) return out + "…";
    const auto lead = static_cast<std::uint8_t>(text[at]);
    if (lead < 0x80) {
      if (kept.find(text[at]) != std::string_view::npos || (lead >= 0x20 && lead != 0x7F))
        out += text[at];
      else
        out += fmt::format("\\x{:02x}", lead);
      ++at;
      continue;
    }
    const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    const std::string_view character = text.substr(at, length);
    if (character.size() < length || !is_valid_utf8(character)) {
      out += fmt::format("\\x{:02x}", lead);
      ++at;
      continue;
    }
    std::uint32_t point = lead & (0xFFU >> (length + 1));
    for (std::size_t i = 1; i < length; ++i) point = (point << 6U) | (static_cast<std::uint8_t>(character[i]) & 0x3FU);
    if (is_deceptive(point))
      out += fmt::format("\\u{{{:x}}}", point);
    else
      out += character;
    at += length;
  }
  return out;
}

}  // namespace

std::string escape_untrusted(std::string_view text, std::size_t max_bytes) {
  return escape(text, max_bytes, "");
}

std::string escape_untrusted_lines(std::string_view text, std::size_t max_bytes) {
  return escape(text, max_bytes, "\n\t");
}

}  // namespace bot_bottle
