#include "core/tui/picker.hpp"

#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/base/file.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/tui/terminal.hpp"

namespace bot_bottle::tui {
namespace {

bool has_letters_in_order(std::string_view text, std::string_view letters) {
  for (const char c : text)
    if (!letters.empty() && c == letters.front()) letters.remove_prefix(1);
  return letters.empty();
}

/// Smaller is better; nothing: no match. `item` and `filter` are lower case.
std::optional<int> rank(const std::string& item, const std::string& filter) {
  const std::size_t at = item.find(filter);
  if (at == 0) return 0;
  if (at != std::string::npos) return 1;
  if (has_letters_in_order(item, filter)) return 2;
  return std::nullopt;
}

constexpr std::size_t list_height = 10;

}  // namespace

KeyPress take_key(std::string_view& bytes) {
  if (bytes.empty()) return {};
  const char c = bytes.front();
  if (c == '\x1b') {
    if (bytes.size() >= 3 && (bytes[1] == '[' || bytes[1] == 'O')) {
      std::size_t end = 2;
      while (end < bytes.size() && (bytes[end] < '@' || bytes[end] > '~')) ++end;
      const char final = end < bytes.size() ? bytes[end] : '\0';
      bytes.remove_prefix(std::min(bytes.size(), end + 1));
      if (final == 'A') return {Key::up};
      if (final == 'B') return {Key::down};
      return {};
    }
    bytes.remove_prefix(1);
    return {Key::cancel};
  }
  bytes.remove_prefix(1);
  switch (c) {
    case '\r':
    case '\n':
      return {Key::enter};
    case '\x03':  // Ctrl-C
    case '\x04':  // Ctrl-D
      return {Key::cancel};
    case '\x7f':
    case '\b':
      return {Key::backspace};
    case '\x15':  // Ctrl-U
      return {Key::clear};
    case '\x10':  // Ctrl-P
      return {Key::up};
    case '\x0e':  // Ctrl-N
      return {Key::down};
    default:
      break;
  }
  if (c >= ' ' && c <= '~') return {Key::character, c};
  return {};
}

PickerModel::PickerModel(std::vector<std::string> items) : items_(std::move(items)) {
  update();
}

void PickerModel::update() {
  const std::string filter = to_lower(filter_);
  std::vector<std::pair<int, std::string>> ranked;
  for (const std::string& item : items_)
    if (const auto value = rank(to_lower(item), filter)) ranked.emplace_back(*value, item);
  std::ranges::stable_sort(ranked, {}, &std::pair<int, std::string>::first);
  matches_.clear();
  for (auto& [value, item] : ranked) matches_.push_back(std::move(item));
  selected_ = 0;
}

std::optional<std::string> PickerModel::choice() const {
  if (matches_.empty()) return std::nullopt;
  return matches_[selected_];
}

void PickerModel::press(const KeyPress& press) {
  switch (press.key) {
    case Key::character:
      filter_ += press.character;
      update();
      break;
    case Key::backspace:
      if (!filter_.empty()) filter_.pop_back();
      update();
      break;
    case Key::clear:
      filter_.clear();
      update();
      break;
    case Key::up:
      if (selected_ > 0) --selected_;
      break;
    case Key::down:
      if (selected_ + 1 < matches_.size()) ++selected_;
      break;
    case Key::enter:
    case Key::cancel:
    case Key::none:
      break;
  }
}

std::vector<std::string> PickerModel::lines(std::size_t height, std::size_t width) const {
  std::vector<std::string> out;
  const std::size_t first = selected_ >= height ? selected_ - height + 1 : 0;
  for (std::size_t i = first; i < matches_.size() && out.size() < height; ++i)
    out.push_back((i == selected_ ? "> " : "  ") + escape_untrusted(matches_[i], std::max<std::size_t>(width, 10) - 4));
  if (matches_.empty()) out.emplace_back("  (nothing matches)");
  return out;
}

std::optional<std::string> pick(std::string_view question, std::vector<std::string> items) {
  if (!is_terminal(STDIN_FILENO) || !is_terminal(STDERR_FILENO)) return std::nullopt;
  termios shown{};
  if (::tcgetattr(STDIN_FILENO, &shown) != 0) return std::nullopt;
  const TerminalGuard guard(STDIN_FILENO, STDERR_FILENO, Restores::settings);
  termios raw = shown;
  raw.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | ISIG);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);

  PickerModel model(std::move(items));
  std::size_t below = 0;
  std::optional<std::string> chosen;
  const auto draw = [&] {
    const WindowSize size = window_size(STDERR_FILENO);
    std::string text = "\r\x1b[J" + std::string(question) + " " + model.filter();
    const auto height = std::min(list_height, static_cast<std::size_t>(std::max(size.rows - 2, 1)));
    const std::vector<std::string> lines = model.lines(height, static_cast<std::size_t>(size.columns));
    for (const std::string& line : lines) text += "\n" + line;
    below = lines.size();
    text += "\x1b[" + std::to_string(below) + "A\r\x1b[" + std::to_string(question.size() + 1 + model.filter().size()) +
            "C";
    [[maybe_unused]] const auto written = write_all(STDERR_FILENO, text);
  };
  for (bool open = true; open;) {
    draw();
    std::array<char, 64> buffer{};
    const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (got <= 0) break;
    std::string_view bytes(buffer.data(), static_cast<std::size_t>(got));
    while (open && !bytes.empty()) {
      const KeyPress press = take_key(bytes);
      if (press.key == Key::cancel) open = false;
      if (press.key == Key::enter && model.choice()) {
        chosen = model.choice();
        open = false;
      }
      model.press(press);
    }
  }
  [[maybe_unused]] const auto cleared = write_all(STDERR_FILENO, "\r\x1b[J");
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
  return chosen;
}

}  // namespace bot_bottle::tui
