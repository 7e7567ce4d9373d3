#include "core/tui/progress.hpp"

#include <fmt/format.h>

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>

#include "core/base/file.hpp"
#include "core/base/terminal_text.hpp"
#include "core/tui/terminal.hpp"

namespace bot_bottle::tui {
namespace {

using Clock = std::chrono::steady_clock;
/// A launch that takes less than this shows nothing: no flicker.
constexpr auto quiet_time = std::chrono::milliseconds(150);
constexpr auto tick = std::chrono::milliseconds(80);
constexpr std::size_t window_lines = 4;
constexpr const char* frames[] = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
constexpr std::uint32_t unknown_permille = 1001;

/// Cuts at `width` octets before a UTF-8 lead octet: too narrow at worst, never broken.
std::string cut(std::string text, std::size_t width) {
  if (text.size() <= width) return text;
  std::size_t end = width;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  text.resize(end);
  return text;
}

}  // namespace

std::string format_step_line(std::string_view mark, std::string_view step, std::chrono::milliseconds elapsed,
                             std::uint32_t permille, std::string_view what, std::size_t width) {
  std::string text = fmt::format("{} {:<12} {:>5.1f}s", mark, step, static_cast<double>(elapsed.count()) / 1000.0);
  if (permille <= 1000) text += fmt::format(" {:>3}%", permille / 10);
  if (!what.empty()) text += " " + escape_untrusted(what, 400);
  return cut(std::move(text), width + 2);  // the mark takes three octets and one column
}

struct Progress::State {
  Style style = Style::none;
  int fd = -1;
  std::mutex mutex;
  std::condition_variable_any changed;
  std::string step;
  Clock::time_point began;
  std::uint32_t permille = unknown_permille;
  std::deque<std::string> window;
  std::size_t drawn_lines = 0;
  std::size_t frame = 0;
  bool shown = false;
  std::jthread ticker;

  void put(std::string_view text) const { [[maybe_unused]] const auto written = write_all(fd, text); }

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
    const auto width = static_cast<std::size_t>(window_size(fd).columns);
    std::string text = erased();
    text += format_step_line(frames[frame++ % std::size(frames)], step, elapsed(), permille,
                             window.empty() ? "" : window.back(), width);
    drawn_lines = 1;
    // The lines before the last one: what a build said, as a small window.
    for (std::size_t i = 0; i + 1 < window.size(); ++i) {
      text += "\n\x1b[2m  " + cut(escape_untrusted(window[i], 400), width - 4) + "\x1b[0m";
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
  return is_terminal(fd) ? Style::live : Style::plain;
}

Progress::Progress(Style style, int fd) : state_(std::make_unique<State>()) {
  state_->style = style;
  state_->fd = fd;
}

Progress::~Progress() {
  if (state_->ticker.joinable()) {
    state_->ticker.request_stop();
    state_->ticker.join();
  }
  const std::lock_guard lock(state_->mutex);
  if (state_->drawn_lines > 0) state_->put(state_->erased());
}

void Progress::begin(std::string_view step) {
  if (state_->style == Style::none) return;
  {
    const std::lock_guard lock(state_->mutex);
    state_->step = step;
    state_->began = Clock::now();
    state_->permille = unknown_permille;
    state_->window.clear();
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
  state_->window.emplace_back(what);
  if (state_->window.size() > window_lines) state_->window.pop_front();
}

void Progress::end(Outcome outcome) {
  const std::lock_guard lock(state_->mutex);
  if (state_->style == Style::live && state_->shown) {
    const auto width = static_cast<std::size_t>(window_size(state_->fd).columns);
    std::string text = state_->erased();
    text += format_step_line(outcome == Outcome::done ? "✓" : "✗", state_->step, state_->elapsed(), unknown_permille,
                             "", width) +
            "\n";
    state_->put(text);
  } else if (state_->style == Style::plain && outcome == Outcome::failed) {
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
