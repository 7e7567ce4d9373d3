#include "core/base/text_width.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace bot_bottle {
namespace {

constexpr std::size_t least_wrap_width = 8;

/// The next character of valid UTF-8 and its code point.
std::uint32_t next_point(std::string_view text, std::size_t& at) {
  const auto lead = static_cast<std::uint8_t>(text[at]);
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
  std::uint32_t point = length == 1 ? lead : lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length && at + i < text.size(); ++i)
    point = (point << 6U) | (static_cast<std::uint8_t>(text[at + i]) & 0x3FU);
  at = std::min(at + length, text.size());
  return point;
}

/// East Asian Wide and Fullwidth blocks and emoji (Unicode 15 EastAsianWidth.txt, by block), and combining marks.
std::size_t width_of(std::uint32_t point) {
  if ((point >= 0x300 && point <= 0x36F) || (point >= 0x1AB0 && point <= 0x1AFF) ||
      (point >= 0x1DC0 && point <= 0x1DFF) || (point >= 0x20D0 && point <= 0x20FF) ||
      (point >= 0xFE20 && point <= 0xFE2F))
    return 0;
  if ((point >= 0x1100 && point <= 0x115F) || (point >= 0x2E80 && point <= 0xA4CF && point != 0x303F) ||
      (point >= 0xAC00 && point <= 0xD7A3) || (point >= 0xF900 && point <= 0xFAFF) ||
      (point >= 0xFE30 && point <= 0xFE6F) || (point >= 0xFF00 && point <= 0xFF60) ||
      (point >= 0xFFE0 && point <= 0xFFE6) || (point >= 0x1F300 && point <= 0x1F64F) ||
      (point >= 0x1F900 && point <= 0x1FAFF) || (point >= 0x20000 && point <= 0x3FFFD))
    return 2;
  return 1;
}

}  // namespace

std::size_t text_width(std::string_view text) {
  std::size_t width = 0;
  std::size_t at = 0;
  while (at < text.size()) width += width_of(next_point(text, at));
  return width;
}

std::string cut_to_width(std::string_view text, std::size_t width) {
  if (text_width(text) <= width) return std::string(text);
  if (width == 0) return {};
  std::size_t used = 0;
  std::size_t at = 0;
  std::size_t end = 0;
  while (at < text.size()) {
    const std::size_t columns = width_of(next_point(text, at));
    if (used + columns + 1 > width) break;
    used += columns;
    end = at;
  }
  return std::string(text.substr(0, end)) + "…";
}

std::vector<std::string> wrap_to_width(std::string_view text, std::size_t width, std::size_t indent) {
  width = std::max(width, least_wrap_width);
  indent = std::min(indent, width / 2);
  std::vector<std::string> lines;
  std::string line;
  std::size_t used = 0;
  std::size_t begin = 0;                       // octets of `line` that are its indent
  std::size_t last_space = std::string::npos;  // in `line`
  const auto next_line = [&](const std::string& rest) {
    while (line.ends_with(' ') && line.size() > begin) line.pop_back();
    lines.push_back(std::exchange(line, std::string(indent, ' ') + rest));
    begin = indent;
    used = text_width(line);
    last_space = std::string::npos;
  };
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t from = at;
    const std::size_t columns = width_of(next_point(text, at));
    const std::string_view character = text.substr(from, at - from);
    if (used + columns > width) {
      if (character == " ") {  // the break itself
        next_line({});
        continue;
      }
      if (last_space == std::string::npos) {
        next_line({});
      } else {
        const std::string rest = line.substr(last_space + 1);
        line.resize(last_space);
        next_line(rest);
      }
    }
    if (character == " " && line.size() > begin) last_space = line.size();
    line += character;
    used += columns;
  }
  lines.push_back(std::move(line));
  return lines;
}

}  // namespace bot_bottle
