// A few lines at the bottom of the screen that are drawn again and again: what the picker and the label form share.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/tui/terminal.hpp"

namespace bot_bottle::tui {

/// `text` with SGR `code` ("1", "31") when colours are wanted.
std::string painted(const Look& look, std::string_view code, std::string_view text);

class Drawing {
 public:
  /// `fd` is borrowed.
  explicit Drawing(int fd) : fd_(fd) {}
  /// `head` is where the cursor stays, `column` columns from the left; `below` are the lines under it. None may be
  /// wider than the terminal.
  void show(std::string_view head, std::size_t column, const std::vector<std::string>& below) const;
  void clear() const;

 private:
  int fd_;
};

}  // namespace bot_bottle::tui
