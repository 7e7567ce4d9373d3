// Asks for a bottle's label and colour and shows at once what they look like: `start` without AGENT, and again when a
// label is in use. The model is apart from the terminal.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/tui/keyboard.hpp"
#include "core/tui/terminal.hpp"

namespace bot_bottle::tui {

struct LabelChoice {
  std::string label;
  std::string color;  // a tint's name, or empty
};

/// Why a label cannot be taken; empty: it can. Called at each key.
using LabelFault = std::function<std::string(const std::string& label)>;

class LabelModel {
 public:
  LabelModel(LabelChoice choice, std::string agent, LabelFault fault);
  [[nodiscard]] const LabelChoice& value() const { return choice_; }
  [[nodiscard]] std::string fault() const { return fault_(choice_.label); }
  void press(const KeyPress& press);
  [[nodiscard]] std::string head() const { return "label: " + choice_.label; }
  /// Colour, preview ("label (agent)" on the tint) and what is wrong; each at most `width` columns.
  [[nodiscard]] std::vector<std::string> lines(std::size_t width, const Look& look) const;

 private:
  void turn_color(int by);
  LabelChoice choice_;
  std::string agent_;
  LabelFault fault_;
};

struct LabelQuestion {
  std::string why;  // a line above, or empty
  LabelChoice choice;
  std::string agent;
  LabelFault fault;
  Look look;
  int cancel_fd = -1;  // borrowed
};
/// On the terminal (stdin, stderr). Nothing: cancelled. Restores the terminal on every way out.
std::optional<LabelChoice> ask_label(const LabelQuestion& question);

}  // namespace bot_bottle::tui
