// A list that narrows while one types: `start` without AGENT, the choice of a backend. The model is apart from the
// terminal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bot_bottle::tui {

enum class Key : std::uint8_t { character, up, down, enter, cancel, backspace, clear, none };
struct KeyPress {
  Key key = Key::none;
  char character = 0;
};
/// Takes one key press off the front of `bytes` (as read from a raw terminal). A lone escape is cancel.
KeyPress take_key(std::string_view& bytes);

class PickerModel {
 public:
  explicit PickerModel(std::vector<std::string> items);
  /// Prefix matches before substrings before letters in order; case does not matter.
  [[nodiscard]] const std::vector<std::string>& matches() const { return matches_; }
  [[nodiscard]] const std::string& filter() const { return filter_; }
  [[nodiscard]] std::size_t selected() const { return selected_; }
  [[nodiscard]] std::optional<std::string> choice() const;
  void press(const KeyPress& press);
  /// At most `height` lines of the list, the selected one among them, marked.
  [[nodiscard]] std::vector<std::string> lines(std::size_t height, std::size_t width) const;

 private:
  void update();
  std::vector<std::string> items_;
  std::vector<std::string> matches_;
  std::string filter_;
  std::size_t selected_ = 0;
};

/// Shows it on the terminal (stdin, stderr). Nothing: cancelled. Restores the terminal on every way out.
std::optional<std::string> pick(std::string_view question, std::vector<std::string> items);

}  // namespace bot_bottle::tui
