// One proposal in full.
#include <fmt/format.h>

#include <algorithm>

#include "core/screen/view.hpp"

namespace bot_bottle::screen {
namespace {

/// Texts of a proposal are at most so long on the screen; the sidecar's own limit is below it.
constexpr std::size_t most_lines_of_a_text = 5'000;

/// Names may not push what follows off the screen. Facts are shown whole: their end may be what matters.
constexpr std::size_t most_of_a_name = 80;
constexpr std::size_t most_of_a_fact = 16'384;
std::string some_of(std::string text, std::size_t most) {
  if (text.size() <= most) return text;
  text.resize(most);
  return text + "...";
}

class Layout {
 public:
  Layout(std::size_t width, Charset charset) : width_(std::max<std::size_t>(width, 20)), charset_(charset) {}

  void blank() { lines_.push_back({}); }
  /// `first` is before the first line, `next` before those that go on; both ours, both in ASCII.
  void add(std::u32string_view first, std::u32string_view next, std::string_view text, Style style) {
    add_shown(first, next, visible(text, charset_), style);
  }
  void add_shown(std::u32string_view first, std::u32string_view next, std::u32string_view shown, Style style) {
    bool begun = false;
    for (std::u32string& piece : wrap(shown, width_ - std::max(first.size(), next.size()))) {
      lines_.push_back({std::u32string(begun ? next : first) + std::move(piece), style});
      begun = true;
    }
  }
  void heading(std::u32string_view text) { lines_.push_back({std::u32string(text), Style::strong}); }
  /// A text of several lines, each behind a mark: none of them can pass for one of ours.
  std::vector<TextLine> block(std::u32string_view mark, std::string_view text, Style style) const {
    Layout inner(width_, charset_);
    std::size_t count = 0;
    for (std::size_t begin = 0; begin <= text.size() && count < most_lines_of_a_text; ++count) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      inner.add(mark, mark, text.substr(begin, end - begin), style);
      begin = end + 1;
    }
    return std::move(inner.lines_);
  }
  void append(std::vector<TextLine> lines) {
    lines_.insert(lines_.end(), std::make_move_iterator(lines.begin()), std::make_move_iterator(lines.end()));
  }
  std::vector<TextLine> take() { return std::move(lines_); }
  /// Before each line that is an agent's.
  [[nodiscard]] std::u32string_view mark() const { return charset_ == Charset::unicode ? U"  │ " : U"  | "; }

 private:
  std::size_t width_;
  Charset charset_;
  std::vector<TextLine> lines_;
};

void add_host(Layout& layout, const Model& model, const desk::Proposal& proposal) {
  if (proposal.host().empty()) return;
  const Detail& detail = *model.detail;
  layout.add(
      U"  ", U"    ",
      "resolves to: " + (detail.resolved.empty() ? "not asked (d does; the agent chose the name, its owner sees it)"
                                                 : detail.resolved),
      Style::plain);
  std::string others = "asking the other bottles";
  if (detail.allowed_elsewhere) {
    others = detail.allowed_elsewhere->empty() ? "no other bottle that runs" : "";
    for (const std::string& slug : *detail.allowed_elsewhere) others += (others.empty() ? "" : ", ") + slug;
  }
  layout.add(U"  ", U"    ", "also allowed by: " + others, Style::plain);
}

void add_words(Layout& layout, const Detail& detail, const desk::Proposal& proposal) {
  if (proposal.justification.empty()) return;
  layout.blank();
  layout.heading(U"what the agent says");
  std::vector<TextLine> words = layout.block(layout.mark(), proposal.justification, Style::dim);
  const std::size_t count = words.size();
  if (!detail.all_words && count > most_words_lines) {
    words.resize(most_words_lines);
    layout.append(std::move(words));
    layout.add(U"  ", U"  ", fmt::format("({} more lines of it: w)", count - most_words_lines), Style::mark);
    return;
  }
  layout.append(std::move(words));
}

void add_change(Layout& layout, const desk::Proposal& proposal) {
  const std::vector<desk::DiffLine> lines = desk::diff_lines(proposal.before, proposal.after);
  if (lines.empty()) return;
  layout.blank();
  layout.heading(U"the exact change to what is live");
  using Kind = desk::DiffLine::Kind;
  bool first = true;
  for (const desk::DiffLine& line : lines) {
    switch (line.kind) {
      case Kind::added:
        layout.add(U"  + ", U"  +>", line.text, Style::good);
        break;
      case Kind::removed:
        layout.add(U"  - ", U"  ->", line.text, Style::bad);
        break;
      case Kind::same:
        layout.add(U"    ", U"   >", line.text, Style::plain);
        break;
      case Kind::hunk:
        if (!first) layout.add(U"  ", U"  ", "...", Style::dim);
        break;
    }
    first = false;
  }
}

}  // namespace

std::vector<TextLine> lay_out_detail(const Model& model, std::size_t width, Charset charset) {
  Layout layout(width, charset);
  const desk::Proposal* proposal = model.detail ? model.find(model.detail->key) : nullptr;
  if (proposal == nullptr) return {};
  layout.add(U"", U"", some_of(proposal->kind, most_of_a_name) + "  " + proposal->id, Style::strong);
  std::string who = proposal->slug;
  if (const desk::Bottle* bottle = model.find_bottle(proposal->slug))
    who += "  " + some_of(bottle->name, most_of_a_name) + (bottle->backend.empty() ? "" : " on " + bottle->backend);
  layout.add(U"  ", U"    ", "asked by " + who + ", " + some_of(proposal->proposed_at, most_of_a_name), Style::plain);
  if (model.detail->moved)
    layout.add(U"  ", U"  ", "It has MOVED since you opened it: what is below is new.", Style::warn);
  if (!proposal->reason.empty())
    layout.add(U"  ", U"    ", "was not applied: " + some_of(proposal->reason, most_of_a_fact), Style::warn);
  if (!proposal->facts.empty() || !proposal->host().empty()) {
    layout.blank();
    layout.heading(U"what was computed");
    for (const desk::Fact& fact : proposal->facts)
      layout.add(U"  ", U"    ", some_of(fact.label, most_of_a_name) + ": " + some_of(fact.text, most_of_a_fact),
                 Style::plain);
    add_host(layout, model, *proposal);
  }
  add_words(layout, *model.detail, *proposal);
  if (proposal->is_question()) {
    layout.blank();
    layout.heading(U"its question");
    layout.append(layout.block(layout.mark(), get_string(proposal->change, "question"), Style::plain));
  }
  if (!proposal->choices.empty()) {
    layout.blank();
    layout.heading(U"its choices");
    for (std::size_t i = 0; i < proposal->choices.size(); ++i)
      layout.add(U"  ", U"     ", fmt::format("{}: {}", i + 1, proposal->choices[i]), Style::plain);
  }
  add_change(layout, *proposal);
  layout.blank();
  layout.add(U"", U"", "end of " + proposal->id, Style::dim);
  return layout.take();
}

}  // namespace bot_bottle::screen
