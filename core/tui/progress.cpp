#include "core/tui/progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>

#include "core/base/file.hpp"
#include "core/base/paths.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text_width.hpp"
#include "core/tui/terminal.hpp"

namespace bot_bottle::tui {
namespace {

using Clock = std::chrono::steady_clock;
/// A launch that takes less than this shows nothing: no flicker.
constexpr auto quiet_time = std::chrono::milliseconds(150);
constexpr auto tick = std::chrono::milliseconds(80);
constexpr std::size_t window_lines = 6;
/// Below this many rows a window of a log would push away what was there.
constexpr int least_rows_for_window = 10;
constexpr std::uint32_t unknown_permille = 1001;
constexpr std::size_t max_said = 400;  // octets of one line of a log that are looked at

struct Signs {
  std::array<std::string_view, 10> frames;
  std::string_view done;
  std::string_view failed;
  std::string_view bar;
};
constexpr Signs unicode_signs{{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}, "✓", "✗", "│"};
constexpr Signs ascii_signs{{"|", "|", "/", "/", "-", "-", "-", "\\", "\\", "\\"}, "+", "x", "|"};

/// "1.5s", "75s", "12m 05s".
std::string format_elapsed(std::chrono::milliseconds elapsed) {
  const std::int64_t seconds = elapsed.count() / 1000;
  if (seconds < 60) return fmt::format("{:.1f}s", static_cast<double>(elapsed.count()) / 1000.0);
  return fmt::format("{}m {:02}s", seconds / 60, seconds % 60);
}

}  // namespace

std::string format_step_line(std::string_view mark, std::string_view step, std::chrono::milliseconds elapsed,
                             std::uint32_t permille, std::string_view what, std::size_t width) {
  std::string text = fmt::format("{} {:<10} {:>7}", mark, step, format_elapsed(elapsed));
  if (permille <= 1000) text += fmt::format(" {:>3}%", permille / 10);
  if (!what.empty()) text += "  " + escape_untrusted(what, max_said);
  return cut_to_width(text, width);
}

struct Progress::State {
  Style style = Style::none;
  int fd = -1;
  Look look;
  std::mutex mutex;
  std::condition_variable_any changed;
  std::string step;
  Shows shows = Shows::status;
  Clock::time_point began;
  std::uint32_t permille = unknown_permille;
  std::deque<std::string> said;  // status: the last one; log: as many as the window shows
  std::size_t drawn_lines = 0;
  std::size_t frame = 0;
  bool shown = false;
  std::jthread ticker;

  void put(std::string_view text) const { [[maybe_unused]] const auto written = write_all(fd, text); }
  [[nodiscard]] const Signs& signs() const { return look.unicode ? unicode_signs : ascii_signs; }
  [[nodiscard]] std::string painted(std::string_view code, std::string_view text) const {
    return look.color ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
  }

  [[nodiscard]] std::chrono::milliseconds elapsed() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began);
  }

  std::string erased() {
    std::string text;
    for (std::size_t i = 0; i < drawn_lines; ++i) text += i == 0 ? "\r\x1b[2K" : "\x1b[1A\x1b[2K";
    drawn_lines = 0;
    return text;
  }

  void draw() {
    const WindowSize size = window_size(fd);
    // The last column stays free: a line that fills it makes some terminals wrap.
    const auto width = static_cast<std::size_t>(std::max(size.columns - 1, 10));
    std::string text = erased();
    const std::string_view what = shows == Shows::status && !said.empty() ? std::string_view(said.back()) : "";
    text +=
        format_step_line(signs().frames[frame++ % unicode_signs.frames.size()], step, elapsed(), permille, what, width);
    drawn_lines = 1;
    if (shows == Shows::log && size.rows >= least_rows_for_window)
      for (const std::string& line : said) {
        text += "\n" +
                painted("2", cut_to_width(fmt::format("{} {}", signs().bar, escape_untrusted(line, max_said)), width));
        ++drawn_lines;
      }
    put(text);
    shown = true;
  }

  void tick_until(const std::stop_token& token) {
    std::unique_lock lock(mutex);
    while (!token.stop_requested()) {
      changed.wait_for(lock, token, tick, [] { return false; });
      if (!token.stop_requested() && !step.empty() && elapsed() >= quiet_time) draw();
    }
  }
};

Progress::Style Progress::style_for(int fd, bool quiet) {
  if (quiet) return Style::none;
  return is_terminal(fd) && environment("TERM").value_or("dumb") != "dumb" ? Style::live : Style::plain;
}

Progress::Progress(Style style, int fd, Look look) : state_(std::make_unique<State>()) {
  state_->style = style;
  state_->fd = fd;
  state_->look = look;
}

Progress::~Progress() {
  if (state_->ticker.joinable()) {
    state_->ticker.request_stop();
    state_->ticker.join();
  }
  const std::lock_guard lock(state_->mutex);
  if (state_->drawn_lines > 0) state_->put(state_->erased());
}

void Progress::begin(std::string_view step, Shows shows) {
  if (state_->style == Style::none) return;
  {
    const std::lock_guard lock(state_->mutex);
    state_->step = step;
    state_->began = Clock::now();
    state_->permille = unknown_permille;
    state_->shows = shows;
    state_->said.clear();
    state_->shown = false;
    if (state_->style == Style::plain) state_->put(fmt::format("{} ...\n", step));
  }
  if (state_->style == Style::live && !state_->ticker.joinable())
    state_->ticker = std::jthread([state = state_.get()](const std::stop_token& token) { state->tick_until(token); });
}

void Progress::update(std::uint32_t permille, std::string_view what) {
  const std::lock_guard lock(state_->mutex);
  state_->permille = permille;
  if (what.empty()) return;
  // A build of many minutes that says nothing is ended by those who watch a log for life.
  if (state_->style == Style::plain && state_->shows == Shows::log)
    state_->put(fmt::format("  {}\n", escape_untrusted(what, max_said)));
  state_->said.emplace_back(what);
  if (state_->said.size() > (state_->shows == Shows::log ? window_lines : 1)) state_->said.pop_front();
}

void Progress::end(Outcome outcome) {
  const std::lock_guard lock(state_->mutex);
  if (state_->style == Style::live && state_->shown && !state_->step.empty()) {
    const bool done = outcome == Outcome::done;
    const auto width = static_cast<std::size_t>(std::max(window_size(state_->fd).columns - 1, 10));
    const std::string_view sign = done ? state_->signs().done : state_->signs().failed;
    const std::string line = format_step_line(sign, state_->step, state_->elapsed(), unknown_permille, "", width);
    state_->put(state_->erased() + state_->painted(done ? "32" : "1;31", sign) + line.substr(sign.size()) + "\n");
  } else if (state_->style == Style::plain && outcome == Outcome::failed && !state_->step.empty()) {
    state_->put(fmt::format("{} failed\n", state_->step));
  }
  state_->step.clear();
}

void Progress::line(std::string_view text) {
  if (state_->style == Style::none) return;
  const std::lock_guard lock(state_->mutex);
  state_->put(state_->erased() + escape_untrusted_lines(text) + "\n");
}

}  // namespace bot_bottle::tui
