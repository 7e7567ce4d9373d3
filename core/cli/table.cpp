// Tables for listings: aligned by what a terminal shows, not by bytes.
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "core/base/terminal_text.hpp"
#include "core/cli/context.hpp"

namespace bot_bottle::cli {
namespace {

constexpr std::size_t gap = 2;
constexpr std::size_t least_width = 8;

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

/// At most `width` columns, ending in "…" when something was cut.
std::string cut(std::string_view text, std::size_t width) {
  if (display_width(text) <= width) return std::string(text);
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

}  // namespace

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  std::size_t at = 0;
  while (at < text.size()) width += width_of(next_point(text, at));
  return width;
}

std::size_t terminal_width() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20) return size.ws_col;
  return 80;
}

std::string format_table(const Context& context, const Table& table, std::size_t width) {
  const std::size_t columns = table.headers.size();
  std::vector<std::vector<std::string>> cells;
  std::vector<std::size_t> widths;
  for (const std::string& header : table.headers) widths.push_back(display_width(header));
  for (const auto& row : table.rows) {
    auto& line = cells.emplace_back();
    for (std::size_t i = 0; i < columns; ++i) {
      line.push_back(i < row.size() ? escape_untrusted(row[i].text) : std::string());
      widths[i] = std::max(widths[i], display_width(line.back()));
    }
  }
  if (width > 0 && columns > 0) {
    const auto total = [&widths, columns] {
      std::size_t sum = gap * (columns - 1);
      for (const std::size_t one : widths) sum += one;
      return sum;
    };
    // Take from the widest column until the row fits: short columns (names, states) keep their text longest.
    while (total() > width) {
      const auto widest = std::ranges::max_element(widths);
      if (*widest <= least_width) break;
      --*widest;
    }
  }
  std::string text;
  const auto add_line = [&](const auto& cell_of) {
    std::string line;
    for (std::size_t i = 0; i < columns; ++i) {
      const auto [raw, tone] = cell_of(i);
      const std::string shown = cut(raw, widths[i]);
      line += context.paint(shown, tone);
      if (i + 1 < columns) line.append(widths[i] - std::min(widths[i], display_width(shown)) + gap, ' ');
    }
    while (line.ends_with(' ')) line.pop_back();
    text += line + "\n";
  };
  if (std::ranges::any_of(table.headers, [](const std::string& header) { return !header.empty(); }))
    add_line([&](std::size_t i) { return std::pair(table.headers[i], Tone::strong); });
  for (std::size_t row = 0; row < cells.size(); ++row)
    add_line([&](std::size_t i) {
      return std::pair(cells[row][i], i < table.rows[row].size() ? table.rows[row][i].tone : Tone::plain);
    });
  return text;
}

void Context::print_table(const Table& table) const {
  std::string text = format_table(*this, table, stdout_is_terminal() ? terminal_width() : 0);
  if (text.ends_with('\n')) text.pop_back();
  if (!text.empty()) out(text);
}

}  // namespace bot_bottle::cli
