// What the operator sees while a bottle is made: one line for the step at work, and below it what a build says. Called
// by launch. Hostile input: build output, escaped here.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/tui/terminal.hpp"

namespace bot_bottle::tui {

/// What the texts of a step's updates are: a state, of which the last one counts, or lines of a log.
enum class Shows : std::uint8_t { status, log };

class Progress {
 public:
  enum class Style : std::uint8_t { none, plain, live };
  /// live on a terminal that can move its cursor, plain elsewhere, none with --quiet.
  static Style style_for(int fd, bool quiet);

  /// Writes to `fd` (borrowed).
  Progress(Style style, int fd, Look look = {});
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void begin(std::string_view step, Shows shows = Shows::status);
  /// `permille` above 1000: unknown. `what` may be hostile (build output).
  void update(std::uint32_t permille, std::string_view what);
  enum class Outcome : std::uint8_t { done, failed };
  void end(Outcome outcome);
  /// A line of its own, above the display.
  void line(std::string_view text);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// One live line: "⠋ image  3.2s  41% Step 4/9", at most `width` columns.
std::string format_step_line(std::string_view mark, std::string_view step, std::chrono::milliseconds elapsed,
                             std::uint32_t permille, std::string_view what, std::size_t width);

}  // namespace bot_bottle::tui
