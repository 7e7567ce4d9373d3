#include "core/screen/view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>

namespace bot_bottle::screen {
namespace {

constexpr std::size_t wide_columns = 120;
/// Title, message, keys.
constexpr std::size_t frame_rows = 3;

/// "19:03:11" of an RFC 3339 time in UTC, in local time; what is no time is shown as it is.
std::string clock_of(const std::string& time) {
  std::tm utc{};
  if (::strptime(time.c_str(), "%Y-%m-%dT%H:%M:%S", &utc) == nullptr) return time.substr(0, 8);
  const std::time_t seconds = ::timegm(&utc);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  return fmt::format("{:02}:{:02}:{:02}", local.tm_hour, local.tm_min, local.tm_sec);
}

struct Area {
  std::size_t row = 0;
  std::size_t column = 0;
  std::size_t height = 0;
  std::size_t width = 0;
};

class Painter {
 public:
  Painter(const Model& model, Frame& frame, Time now) : model_(model), frame_(frame), now_(now) {}

  void all() {
    title();
    switch (model_.mode) {
      case Mode::help:
        help();
        break;
      case Mode::logs:
        logs();
        break;
      default:
        if (model_.detail)
          detail();
        else
          panes();
    }
    message();
    keys();
  }

 private:
  [[nodiscard]] std::size_t columns() const { return frame_.columns(); }

  void title() {
    std::size_t running = 0;
    for (const desk::Bottle& bottle : model_.bottles) running += bottle.presence == desk::Presence::listening ? 1 : 0;
    frame_.put(0, 0, columns(),
               fmt::format(" bot-bottle supervise   {} pending   {} {}", model_.proposals.size(), running,
                           running == 1 ? "bottle runs" : "bottles run"),
               Style::bar);
  }

  void message() {
    const std::size_t row = frame_.rows() - 2;
    if (model_.mode == Mode::prompt && model_.prompt) {
      const std::u32string question = visible(model_.prompt->question + " ", frame_.charset());
      frame_.put(row, 0, columns(), std::u32string_view(question), Style::strong);
      const std::size_t begin = std::min(question.size(), columns() - 4);
      // What is typed is seen at its end, and so is where it ends.
      std::u32string typed = visible_points(model_.prompt->text) + U"_";
      const std::size_t room = columns() - begin;
      while (columns_of(typed) > room) typed.erase(0, 1);
      frame_.put(row, begin, room, std::u32string_view(typed), Style::plain);
    } else if (model_.mode == Mode::narrow_menu) {
      frame_.put(row, 0, columns(),
                 "approve: o once   t for a time   r for so many requests   b for so many bytes   Esc back",
                 Style::strong);
    } else if (model_.mode == Mode::confirm_stop) {
      const desk::Bottle* bottle = model_.selected_bottle();
      frame_.put(row, 0, columns(), fmt::format("stop {}? y/N", bottle == nullptr ? "" : bottle->slug), Style::strong);
    } else {
      frame_.put(row, 0, columns(), model_.message,
                 model_.message_tone == Tone::bad    ? Style::warn
                 : model_.message_tone == Tone::good ? Style::good
                                                     : Style::plain);
    }
  }

  [[nodiscard]] std::u32string visible_points(const std::u32string& text) const {
    std::u32string out;
    for (const char32_t point : text) out += point >= 0x20 && point < 0x7F ? std::u32string(1, point) : shown(point);
    return out;
  }
  [[nodiscard]] std::u32string shown(char32_t point) const {
    std::string utf8;
    if (point < 0x800) {
      utf8 += static_cast<char>(0xC0 | (point >> 6U));
    } else if (point < 0x10000) {
      utf8 += static_cast<char>(0xE0 | (point >> 12U));
      utf8 += static_cast<char>(0x80 | ((point >> 6U) & 0x3FU));
    } else {
      return U"?";
    }
    utf8 += static_cast<char>(0x80 | (point & 0x3FU));
    return visible(utf8, frame_.charset());
  }

  void keys() {
    std::string_view text;
    if (model_.mode == Mode::help || model_.mode == Mode::logs)
      text = " q back   j/k move";
    else if (model_.mode == Mode::prompt)
      text = " Enter send   Esc back   Ctrl-U clear";
    else if (model_.detail)
      text = " a approve  t narrower  m modify  r reject  j k End  w words  d resolve  q back";
    else if (model_.focus == Pane::bottles)
      text = " Enter attach  e routes  l logs  c commit  x stop  n new  Tab  ? help  q quit";
    else
      text = " Enter detail  a approve  t narrower  m modify  r reject  Tab  ? help  q quit";
    frame_.put(frame_.rows() - 1, 0, columns(), text, Style::bar);
  }

  void pane_title(const Area& area, std::string_view name, Pane pane) {
    const bool focused = model_.focus == pane;
    frame_.rule(area.row, area.column, area.width, focused ? Style::strong : Style::dim);
    const std::string text = fmt::format("{} {} ", focused ? ">" : "", name);
    frame_.put(area.row, area.column, std::min(columns_of(visible(text, frame_.charset())), area.width), text,
               focused ? Style::strong : Style::dim);
  }

  void panes() {
    const std::size_t height = body_rows(frame_.rows());
    if (columns() >= wide_columns) {
      const std::size_t upper = std::max<std::size_t>(height * 3 / 5, 3);
      const std::size_t left = columns() * 3 / 5;
      proposals({1, 0, upper, left});
      frame_.bar_down(1, left, upper);
      bottles({1, left + 1, upper, columns() - left - 1});
      events({1 + upper, 0, height - upper, columns()});
      return;
    }
    const std::size_t first = std::max<std::size_t>(height * 2 / 5, 2);
    const std::size_t second = std::max<std::size_t>(height * 3 / 10, 1);
    proposals({1, 0, first, columns()});
    bottles({1 + first, 0, second, columns()});
    events({1 + first + second, 0, height - first - second, columns()});
  }

  /// The first of `count` lines, so that `selected` is among `height`.
  static std::size_t first_shown(std::size_t selected, std::size_t count, std::size_t height) {
    if (height == 0 || count <= height) return 0;
    return std::min(selected >= height ? selected - height + 1 : 0, count - height);
  }

  void proposals(const Area& area) {
    pane_title(area, fmt::format("proposals ({})", model_.proposals.size()), Pane::proposals);
    const std::size_t height = area.height - 1;
    const desk::Proposal* selected = model_.selected_proposal();
    const std::size_t at = selected == nullptr ? 0 : static_cast<std::size_t>(selected - model_.proposals.data());
    const std::size_t first = first_shown(at, model_.proposals.size(), height);
    if (model_.proposals.empty()) frame_.put(area.row + 1, area.column, area.width, "  nothing is asked", Style::dim);
    for (std::size_t i = 0; i < height && first + i < model_.proposals.size(); ++i) {
      const desk::Proposal& one = model_.proposals[first + i];
      const bool is_new = model_.is_new(one, now_);
      const char* mark = model_.answering.contains(key_of(one)) ? "..."
                         : is_new                               ? "NEW"
                         : one.reason.empty()                   ? "   "
                                                                : " ! ";
      Style style = is_new ? Style::mark : Style::plain;
      if (first + i == at) style = model_.focus == Pane::proposals ? Style::selected : Style::strong;
      const std::array<std::string, 4> fields{fmt::format("{} {}", mark, clock_of(one.proposed_at)), one.slug, one.kind,
                                              one.summary()};
      row(area, area.row + 1 + i, fields, {13, 18, 17, 0}, style);
    }
  }

  void bottles(const Area& area) {
    pane_title(area, fmt::format("bottles ({})", model_.bottles.size()), Pane::bottles);
    const std::size_t height = area.height - 1;
    const desk::Bottle* selected = model_.selected_bottle();
    const std::size_t at = selected == nullptr ? 0 : static_cast<std::size_t>(selected - model_.bottles.data());
    const std::size_t first = first_shown(at, model_.bottles.size(), height);
    if (model_.bottles.empty() && height > 0)
      frame_.put(area.row + 1, area.column, area.width, "  no bottle; n starts one", Style::dim);
    for (std::size_t i = 0; i < height && first + i < model_.bottles.size(); ++i) {
      const desk::Bottle& one = model_.bottles[first + i];
      Style style = one.presence == desk::Presence::listening ? Style::plain : Style::dim;
      if (first + i == at) style = model_.focus == Pane::bottles ? Style::selected : Style::strong;
      const std::string asks = one.pending == 0 ? "" : fmt::format("{} asked", one.pending);
      const std::string state = one.stop_due                                ? "stop due"
                                : one.presence == desk::Presence::listening ? "running"
                                : one.presence == desk::Presence::silent    ? "silent"
                                                                            : one.status;
      std::string more = one.name + (one.backend.empty() ? "" : " on " + one.backend);
      if (!one.complaint.empty()) more = one.complaint;
      row(area, area.row + 1 + i, std::array<std::string, 4>{"  " + one.slug, state, asks, more}, {22, 10, 10, 0},
          style);
    }
  }

  void event_line(const Area& area, std::size_t line, const desk::Event& one) {
    const Style style = one.level == "block" ? Style::bad : one.level == "warn" ? Style::warn : Style::plain;
    row(area, line, std::array<std::string, 4>{"  " + clock_of(one.time), one.slug, one.level, one.text},
        {11, 18, 6, 0}, style);
  }

  void events(const Area& area) {
    const std::size_t height = area.height - 1;
    const std::size_t count = model_.events.size();
    const std::size_t most = count > height ? count - height : 0;
    const std::size_t back = std::min(model_.events_back, most);
    pane_title(area, back == 0 ? "events" : fmt::format("events ({} newer below)", back), Pane::events);
    const std::size_t first = most - back;
    for (std::size_t i = 0; i < height && first + i < count; ++i)
      event_line(area, area.row + 1 + i, model_.events[first + i]);
  }

  void logs() {
    std::vector<const desk::Event*> own;
    for (const desk::Event& one : model_.events)
      if (one.slug == model_.logs_slug) own.push_back(&one);
    const std::size_t height = body_rows(frame_.rows()) - 1;
    const std::size_t most = own.size() > height ? own.size() - height : 0;
    const std::size_t back = std::min(model_.events_back, most);
    frame_.rule(1, 0, columns(), Style::strong);
    const std::string name =
        "> events of " + model_.logs_slug + " (all of them: bot-bottle logs " + model_.logs_slug + ") ";
    frame_.put(1, 0, std::min(columns_of(visible(name, frame_.charset())), columns()), name, Style::strong);
    for (std::size_t i = 0; i < height && most - back + i < own.size(); ++i)
      event_line({1, 0, height, columns()}, 2 + i, *own[most - back + i]);
  }

  void detail() {
    const std::vector<TextLine> lines = lay_out_detail(model_, columns(), frame_.charset());
    const std::size_t height = body_rows(frame_.rows());
    const std::size_t scroll = model_.detail->scroll;
    for (std::size_t i = 0; i < height && scroll + i < lines.size(); ++i)
      frame_.put(1 + i, 0, columns(), std::u32string_view(lines[scroll + i].text), lines[scroll + i].style);
    if (scroll + height < lines.size()) {
      const std::string more = fmt::format(" {} more lines below ", lines.size() - scroll - height);
      const std::size_t width = std::min(more.size(), columns());
      frame_.put(height, columns() - width, width, more, Style::selected);
    }
  }

  void help() {
    static constexpr std::array<std::string_view, 20> lines{
        "  Tab                other pane: proposals, bottles, events",
        "  j k, arrows, g G   move; PgUp PgDn",
        "",
        "  proposals",
        "    Enter            what was computed, the agent's words, the exact change",
        "    a                approve exactly what is shown (for a question: answer it)",
        "    t                approve narrower: once, for a time, requests, bytes",
        "    m                change it in $EDITOR, then approve",
        "    r                reject, with a reason that the agent reads",
        "    d                ask your resolver about the host (its owner sees who asks)",
        "    w                all of the agent's words",
        "  bottles",
        "    Enter            attach: in tmux a pane beside, else the whole screen",
        "    e                edit its live routes in $EDITOR",
        "    l                its events",
        "    c  x             commit (freeze), stop",
        "    n                new agent: choose, look at what it may do, start",
        "",
        "  q                  leave; everything goes on running",
        "  Ctrl-L             draw again",
    };
    for (std::size_t i = 0; i < lines.size() && i < body_rows(frame_.rows()); ++i)
      frame_.put(1 + i, 0, columns(), lines[i], Style::plain);
  }

  /// Fields in columns; the last takes what is left. On narrow places the fixed ones shrink.
  void row(const Area& area, std::size_t line, const std::array<std::string, 4>& fields,
           std::array<std::size_t, 4> widths, Style style) {
    const std::size_t fixed = widths[0] + widths[1] + widths[2];
    const std::size_t roomy = area.width / 4;
    if (area.width >= wide_columns) widths[1] += 12;
    if (fixed > area.width * 2 / 3)
      for (std::size_t i = 1; i < 3; ++i) widths[i] = std::min(widths[i], roomy);
    frame_.put(line, area.column, area.width, std::string_view(), style);
    std::size_t column = 0;
    for (std::size_t i = 0; i < fields.size() && column < area.width; ++i) {
      const std::size_t left = area.width - column;
      const std::size_t width = i + 1 == fields.size() ? left : std::min(widths[i], left);
      // One blank stays between two fields, whatever is in them.
      frame_.put(line, area.column + column, i + 1 == fields.size() ? width : width - std::min<std::size_t>(width, 1),
                 fields[i], style);
      column += width;
    }
  }

  const Model& model_;
  Frame& frame_;
  Time now_;
};

}  // namespace

std::size_t body_rows(std::size_t rows) {
  return rows > frame_rows ? rows - frame_rows : 1;
}

Frame render(const Model& model, std::size_t rows, std::size_t columns, Charset charset, Time now) {
  Frame frame(rows, columns, charset);
  if (rows < least_rows || columns < least_columns) {
    frame.put(0, 0, columns, "too small: 40x8 at least", Style::plain);
    return frame;
  }
  Painter(model, frame, now).all();
  return frame;
}

}  // namespace bot_bottle::screen
