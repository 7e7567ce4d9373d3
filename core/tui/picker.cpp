#include "core/tui/picker.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "core/base/file.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/base/text_width.hpp"
#include "core/tui/drawing.hpp"

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
constexpr std::size_t widest_name = 40;
constexpr std::size_t detail_lines = 3;

}  // namespace

PickerModel::PickerModel(std::vector<PickerItem> items, Describe describe)
    : items_(std::move(items)), describe_(std::move(describe)) {
  for (const PickerItem& item : items_)
    name_width_ = std::max(name_width_, std::min(widest_name, text_width(escape_untrusted(item.name))));
  update();
}

void PickerModel::update() {
  const std::string filter = to_lower(filter_);
  std::vector<std::pair<int, std::size_t>> ranked;
  for (std::size_t i = 0; i < items_.size(); ++i)
    if (const auto value = rank(to_lower(items_[i].name), filter)) ranked.emplace_back(*value, i);
  std::ranges::stable_sort(ranked, {}, &std::pair<int, std::size_t>::first);
  matches_.clear();
  for (const auto& [value, item] : ranked) matches_.push_back(item);
  selected_ = 0;
}

std::vector<std::string> PickerModel::matches() const {
  std::vector<std::string> names;
  for (const std::size_t item : matches_) names.push_back(items_[item].name);
  return names;
}

PickerDetail PickerModel::detail() {
  if (matches_.empty() || !describe_) return {};
  const std::string& name = items_[matches_[selected_]].name;
  const auto found = details_.find(name);
  return found != details_.end() ? found->second : details_.emplace(name, describe_(name)).first->second;
}

std::optional<std::string> PickerModel::choice() {
  if (matches_.empty() || detail().verdict == PickerDetail::Verdict::broken) return std::nullopt;
  return items_[matches_[selected_]].name;
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
    default:
      break;
  }
}

std::vector<std::string> PickerModel::lines(std::size_t height, std::size_t width, const Look& look) const {
  std::vector<std::string> out;
  const std::size_t first = selected_ >= height ? selected_ - height + 1 : 0;
  for (std::size_t i = first; i < matches_.size() && out.size() < height; ++i) {
    const PickerItem& item = items_[matches_[i]];
    std::string name = cut_to_width(escape_untrusted(item.name), name_width_);
    if (!item.note.empty()) name.append(name_width_ - text_width(name) + 2, ' ');
    const std::string plain = (i == selected_ ? "> " : "  ") + name;
    const std::size_t used = text_width(plain);
    const std::string note = width > used ? cut_to_width(escape_untrusted(item.note), width - used) : "";
    if (i == selected_)
      out.push_back(painted(look, "1", cut_to_width(plain, width)) + note);
    else
      out.push_back(cut_to_width(plain, width) + painted(look, "2", note));
  }
  if (matches_.empty()) out.emplace_back("  (nothing matches)");
  return out;
}

std::optional<std::string> pick(PickerQuestion question) {
  if (!is_terminal(STDIN_FILENO) || !is_terminal(STDERR_FILENO)) return std::nullopt;
  Keyboard keyboard(question.cancel_fd);
  Drawing drawing(STDERR_FILENO);
  const std::size_t count = question.items.size();
  PickerModel model(std::move(question.items), std::move(question.describe));
  const Look& look = question.look;
  const char* keys = look.unicode ? "type to filter, ↑↓ move, Enter takes it, Esc leaves"
                                  : "type to filter, arrows move, Enter takes it, Esc leaves";
  std::optional<std::string> chosen;
  for (bool open = true; open;) {
    const WindowSize size = window_size(STDERR_FILENO);
    const auto width = static_cast<std::size_t>(std::max(size.columns - 1, 20));
    const auto rows = static_cast<std::size_t>(std::max(size.rows, 8));
    const std::size_t height = std::min(list_height, rows - detail_lines - 3);
    std::string head = question.what + ": " + model.filter();
    std::vector<std::string> below = model.lines(height, width, look);
    const std::vector<std::string> found = model.matches();
    if (found.size() > height || found.size() < count)
      below.push_back(painted(look, "2", fmt::format("  {} of {}", found.size(), count)));
    const PickerDetail detail = model.detail();
    const bool broken = detail.verdict == PickerDetail::Verdict::broken;
    below.emplace_back();
    std::size_t lines = 0;
    for (const std::string& line : wrap_to_width(escape_untrusted(detail.text, 600), width - 2, 2))
      if (!line.empty() && lines++ < detail_lines) below.push_back("  " + painted(look, broken ? "31" : "0", line));
    below.push_back("  " + painted(look, "2", cut_to_width(keys, width - 2)));
    drawing.show(head, text_width(head), below);
    const KeyPress press = keyboard.next();
    if (press.key == Key::cancel) open = false;
    if (press.key == Key::enter) {
      chosen = model.choice();
      if (chosen) open = false;
    }
    model.press(press);
  }
  drawing.clear();
  return chosen;
}

}  // namespace bot_bottle::tui
