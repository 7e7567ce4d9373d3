// A list that narrows while one types: `start` without AGENT, the choice of a backend. The model is apart from the
// terminal. Hostile input: names and texts from a repository's files, escaped here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/tui/keyboard.hpp"
#include "core/tui/terminal.hpp"

namespace bot_bottle::tui {

struct PickerItem {
  std::string name;
  std::string note;  // where it comes from, what it is; shown beside the name
};

/// What is said about the item that is selected.
struct PickerDetail {
  std::string text;
  enum class Verdict : std::uint8_t { usable, broken } verdict = Verdict::usable;  // broken: cannot be chosen
};

class PickerModel {
 public:
  using Describe = std::function<PickerDetail(const std::string& name)>;
  /// `describe` may be empty. It is called once for each item that is ever selected: it may read files.
  explicit PickerModel(std::vector<PickerItem> items, Describe describe = {});
  /// Prefix matches before substrings before letters in order; case does not matter.
  [[nodiscard]] std::vector<std::string> matches() const;
  [[nodiscard]] const std::string& filter() const { return filter_; }
  [[nodiscard]] std::size_t selected() const { return selected_; }
  /// Nothing while no item matches or the selected one is broken.
  [[nodiscard]] std::optional<std::string> choice();
  [[nodiscard]] PickerDetail detail();
  void press(const KeyPress& press);
  /// At most `height` lines of the list, the selected one among them, marked; each at most `width` columns.
  [[nodiscard]] std::vector<std::string> lines(std::size_t height, std::size_t width, const Look& look = {}) const;

 private:
  void update();
  std::vector<PickerItem> items_;
  std::vector<std::size_t> matches_;  // in items_
  std::string filter_;
  std::size_t selected_ = 0;
  std::size_t name_width_ = 0;
  Describe describe_;
  std::map<std::string, PickerDetail> details_;
};

struct PickerQuestion {
  std::string what;  // "agent"
  std::vector<PickerItem> items;
  PickerModel::Describe describe;
  Look look;
  int cancel_fd = -1;  // borrowed
};
/// Shows it on the terminal (stdin, stderr). Nothing: cancelled. Restores the terminal on every way out.
std::optional<std::string> pick(PickerQuestion question);

}  // namespace bot_bottle::tui
