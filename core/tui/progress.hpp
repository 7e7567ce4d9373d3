// What the operator sees while a bottle is made: one line for the step at work, more for a long one. Called by launch.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace bot_bottle::tui {

class Progress {
 public:
  enum class Style : std::uint8_t { none, plain, live };
  /// live on a terminal, plain elsewhere, none with --quiet.
  static Style style_for(int fd, bool quiet);

  /// Writes to `fd` (borrowed).
  Progress(Style style, int fd);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void begin(std::string_view step);
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
