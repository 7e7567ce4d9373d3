#include "core/tui/label_form.hpp"

#include <unistd.h>

#include <algorithm>

#include "core/base/file.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text_width.hpp"
#include "core/tui/drawing.hpp"

namespace bot_bottle::tui {
namespace {

/// More than a slug may have: what is too long is told, not swallowed.
constexpr std::size_t max_typed = 80;

}  // namespace

LabelModel::LabelModel(LabelChoice choice, std::string agent, LabelFault fault)
    : choice_(std::move(choice)), agent_(std::move(agent)), fault_(std::move(fault)) {}

void LabelModel::turn_color(int by) {
  std::vector<std::string> names = tint_names();
  names.insert(names.begin(), "");
  const auto found = std::ranges::find(names, choice_.color);
  const auto at = static_cast<int>(found == names.end() ? 0 : found - names.begin());
  const auto count = static_cast<int>(names.size());
  choice_.color = names[static_cast<std::size_t>((at + by + count) % count)];
}

void LabelModel::press(const KeyPress& press) {
  switch (press.key) {
    case Key::character:
      if (choice_.label.size() < max_typed) choice_.label += press.character;
      break;
    case Key::backspace:
      if (!choice_.label.empty()) choice_.label.pop_back();
      break;
    case Key::clear:
      choice_.label.clear();
      break;
    case Key::right:
    case Key::down:
      turn_color(1);
      break;
    case Key::left:
    case Key::up:
      turn_color(-1);
      break;
    default:
      break;
  }
}

std::vector<std::string> LabelModel::lines(std::size_t width, const Look& look) const {
  std::vector<std::string> out;
  const auto tint = find_tint(choice_.color);
  const std::string name = tint ? std::string(tint->name) : "none";
  std::string color = look.unicode ? "color: ‹ " + name + " ›" : "color: < " + name + " >";
  out.push_back(cut_to_width(color, width));
  const std::string agent = escape_untrusted(agent_, 200);
  const std::string title = choice_.label.empty() ? agent : escape_untrusted(choice_.label, 200) + " (" + agent + ")";
  std::string bar = cut_to_width("  " + title, width > 11 ? width - 9 : 2);
  constexpr std::size_t least_bar = 40;
  if (text_width(bar) < std::min(least_bar, width > 9 ? width - 9 : 2))
    bar.append(std::min(least_bar, width - 9) - text_width(bar), ' ');
  out.push_back("       " + (tint ? tinted(bar, *tint, look) : painted(look, "7", bar)));
  const std::string wrong = fault();
  if (!wrong.empty())
    out.push_back("  " + painted(look, "31", cut_to_width(wrong, width - 2)));
  else if (choice_.label.empty())
    out.push_back(painted(look, "2", cut_to_width("  no label: a name is made of the agent's", width)));
  else
    out.emplace_back();
  const char* keys = look.unicode ? "type the label, ←→ change the color, Enter goes on, Esc leaves"
                                  : "type the label, arrows change the color, Enter goes on, Esc leaves";
  out.push_back("  " + painted(look, "2", cut_to_width(keys, width - 2)));
  return out;
}

std::optional<LabelChoice> ask_label(const LabelQuestion& question) {
  if (!is_terminal(STDIN_FILENO) || !is_terminal(STDERR_FILENO)) return std::nullopt;
  Keyboard keyboard(question.cancel_fd);
  const Drawing drawing(STDERR_FILENO);
  LabelModel model(question.choice, question.agent, question.fault);
  if (!question.why.empty()) {
    [[maybe_unused]] const auto written = write_all(STDERR_FILENO, escape_untrusted(question.why) + "\n");
  }
  while (true) {
    const auto width = static_cast<std::size_t>(std::max(window_size(STDERR_FILENO).columns - 1, 24));
    const std::string head = cut_to_width(model.head(), width);
    drawing.show(head, text_width(head), model.lines(width, question.look));
    const KeyPress press = keyboard.next();
    if (press.key == Key::cancel || (press.key == Key::enter && model.fault().empty())) {
      drawing.clear();
      if (press.key == Key::cancel) return std::nullopt;
      return model.value();
    }
    model.press(press);
  }
}

}  // namespace bot_bottle::tui
