#include "core/screen/frame.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/text.hpp"

namespace bot_bottle::screen {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};
/// Unicode 15, by block, without marks, right-to-left scripts and what terminals measure differently (emoji, ambiguous
/// presentation). One column each.
constexpr std::array<Range, 22> narrow_ranges{{
    {0x20, 0x7E},     {0xA1, 0xAC},     {0xAE, 0x2FF},    {0x370, 0x377},   {0x37B, 0x37F},   {0x384, 0x38A},
    {0x38C, 0x3FF},   {0x400, 0x482},   {0x48A, 0x52F},   {0x531, 0x556},   {0x561, 0x587},   {0x10D0, 0x10FA},
    {0x1E00, 0x1EFF}, {0x1F00, 0x1F7D}, {0x2010, 0x2027}, {0x2030, 0x205E}, {0x20A0, 0x20BF}, {0x2190, 0x21FF},
    {0x2200, 0x22FF}, {0x2500, 0x259F}, {0x25A0, 0x25CF}, {0x2122, 0x2122},
}};
/// Two columns each: kana, CJK ideographs, Hangul syllables, fullwidth forms (EastAsianWidth.txt, W and F).
constexpr std::array<Range, 8> wide_ranges{{{0x3001, 0x3003},
                                            {0x3008, 0x3011},
                                            {0x3041, 0x3096},
                                            {0x30A1, 0x30FA},
                                            {0x3400, 0x4DBF},
                                            {0x4E00, 0x9FFF},
                                            {0xAC00, 0xD7A3},
                                            {0xFF01, 0xFF60}}};

template <typename Ranges>
bool is_in(const Ranges& ranges, char32_t point) {
  return std::ranges::any_of(ranges, [point](const Range& one) { return point >= one.first && point <= one.last; });
}

std::size_t width_of(char32_t point) {
  return point >= 0x3000 && is_in(wide_ranges, point) ? 2 : 1;
}

void append(std::u32string& out, std::string_view ascii) {
  for (const char c : ascii) out += static_cast<char32_t>(static_cast<unsigned char>(c));
}

void append_utf8(std::string& out, char32_t point) {
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xC0 | (point >> 6U));
    out += static_cast<char>(0x80 | (point & 0x3FU));
  } else {
    out += static_cast<char>(0xE0 | (point >> 12U));
    out += static_cast<char>(0x80 | ((point >> 6U) & 0x3FU));
    out += static_cast<char>(0x80 | (point & 0x3FU));
  }
}

}  // namespace

std::u32string visible(std::string_view text, Charset charset) {
  std::u32string out;
  out.reserve(text.size());
  std::size_t at = 0;
  while (at < text.size()) {
    const auto lead = static_cast<unsigned char>(text[at]);
    if (lead < 0x80) {
      if (lead >= 0x20 && lead != 0x7F)
        out += lead;
      else
        append(out, fmt::format("\\x{:02x}", lead));
      ++at;
      continue;
    }
    const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    const std::string_view character = text.substr(at, length);
    if (character.size() < length || !is_valid_utf8(character)) {
      append(out, fmt::format("\\x{:02x}", lead));
      ++at;
      continue;
    }
    char32_t point = lead & (0xFFU >> (length + 1));
    for (std::size_t i = 1; i < length; ++i) point = (point << 6U) | (static_cast<unsigned char>(character[i]) & 0x3FU);
    if (charset == Charset::unicode && (is_in(narrow_ranges, point) || is_in(wide_ranges, point)))
      out += point;
    else
      append(out, fmt::format("\\u{{{:x}}}", static_cast<std::uint32_t>(point)));
    at += length;
  }
  return out;
}

std::size_t columns_of(std::u32string_view text) {
  std::size_t columns = 0;
  for (const char32_t point : text) columns += width_of(point);
  return columns;
}

std::vector<std::u32string> wrap(std::u32string_view text, std::size_t width) {
  width = std::max<std::size_t>(width, 2);
  std::vector<std::u32string> lines;
  std::u32string line;
  std::size_t used = 0;
  std::size_t last_space = std::u32string::npos;  // in `line`
  for (const char32_t point : text) {
    const std::size_t columns = width_of(point);
    if (used + columns > width) {
      // A word that is longer than half a line is cut where it is: nothing hides behind a ragged edge.
      if (last_space != std::u32string::npos && last_space >= line.size() / 2) {
        std::u32string rest = line.substr(last_space + 1);
        line.resize(last_space + 1);
        lines.push_back(std::exchange(line, std::move(rest)));
      } else {
        lines.push_back(std::exchange(line, {}));
      }
      used = columns_of(line);
      last_space = std::u32string::npos;
    }
    if (point == U' ') last_space = line.size();
    line += point;
    used += columns;
  }
  lines.push_back(std::move(line));
  return lines;
}

void Frame::put(std::size_t row, std::size_t column, std::size_t width, std::string_view text, Style style) {
  put(row, column, width, std::u32string_view(visible(text, charset_)), style);
}

void Frame::put(std::size_t row, std::size_t column, std::size_t width, std::u32string_view shown, Style style) {
  if (row >= rows_ || column >= columns_) return;
  width = std::min(width, columns_ - column);
  const bool cut = columns_of(shown) > width;
  const std::size_t room = cut && width > 0 ? width - 1 : width;
  std::size_t used = 0;
  for (const char32_t point : shown) {
    const std::size_t columns = width_of(point);
    if (used + columns > room) break;
    cell(row, column + used) = {point, style};
    if (columns == 2) cell(row, column + used + 1) = {0, style};
    used += columns;
  }
  if (cut && used < width) cell(row, column + used++) = {sign(U'…', U'~'), style};
  for (; used < width; ++used) cell(row, column + used) = {U' ', style};
}

void Frame::rule(std::size_t row, std::size_t column, std::size_t width, Style style) {
  if (row >= rows_) return;
  for (std::size_t i = 0; i < width && column + i < columns_; ++i) cell(row, column + i) = {sign(U'─', U'-'), style};
}

void Frame::bar_down(std::size_t row, std::size_t column, std::size_t height) {
  for (std::size_t i = 0; i < height && row + i < rows_ && column < columns_; ++i)
    cell(row + i, column) = {sign(U'│', U'|'), Style::dim};
}

std::string Frame::text(std::size_t row) const {
  std::string out;
  for (std::size_t column = 0; column < columns_; ++column)
    if (at(row, column).point != 0) append_utf8(out, at(row, column).point);
  while (out.ends_with(' ')) out.pop_back();
  return out;
}

std::string Frame::all_text() const {
  std::string out;
  for (std::size_t row = 0; row < rows_; ++row) out += text(row) + "\n";
  return out;
}

}  // namespace bot_bottle::screen
