// Tables for listings: aligned by what a terminal shows, not by bytes.
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "core/base/terminal_text.hpp"
#include "core/base/text_width.hpp"
#include "core/cli/context.hpp"

namespace bot_bottle::cli {
namespace {

constexpr std::size_t gap = 2;
constexpr std::size_t least_width = 8;

}  // namespace

std::size_t display_width(std::string_view text) {
  return text_width(text);
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
      const std::string shown = cut_to_width(raw, widths[i]);
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
