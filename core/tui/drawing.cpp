#include "core/tui/drawing.hpp"

#include <fmt/format.h>

#include "core/base/file.hpp"

namespace bot_bottle::tui {

std::string painted(const Look& look, std::string_view code, std::string_view text) {
  if (!look.color || text.empty()) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

void Drawing::show(std::string_view head, std::size_t column, const std::vector<std::string>& below) const {
  std::string text = "\r\x1b[J" + std::string(head);
  for (const std::string& line : below) text += "\n" + line;
  if (!below.empty()) text += fmt::format("\x1b[{}A", below.size());
  text += "\r";
  if (column > 0) text += fmt::format("\x1b[{}C", column);
  [[maybe_unused]] const auto written = write_all(fd_, text);
}

void Drawing::clear() const {
  [[maybe_unused]] const auto written = write_all(fd_, "\r\x1b[J");
}

}  // namespace bot_bottle::tui
