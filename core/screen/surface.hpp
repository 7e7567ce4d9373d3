// The terminal: everything of ncurses is in surface.cpp. One at a time per process; throws Failure from `open` alone.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "core/screen/frame.hpp"
#include "core/screen/keys.hpp"
#include "core/tui/terminal.hpp"

namespace bot_bottle::screen {

enum class Color : std::uint8_t { no, yes };

class Surface {
 public:
  /// Takes the terminal on 0 and 1; failed_precondition when terminfo does not know it. Puts everything back when it
  /// goes, on fatal signals too.
  explicit Surface(Color color);
  ~Surface();
  Surface(const Surface&) = delete;
  Surface& operator=(const Surface&) = delete;

  [[nodiscard]] Charset charset() const { return charset_; }
  [[nodiscard]] std::size_t rows() const;
  [[nodiscard]] std::size_t columns() const;
  /// After SIGWINCH.
  void resize();
  /// Draws what differs from the frame before.
  void paint(const Frame& frame);
  /// Draws everything at the next `paint`.
  void forget();
  /// Nothing when no key waits.
  std::optional<Key> read_key();
  void bell();
  /// Where the terminal is of a kind that has one. `title` is escaped.
  void set_title(std::string_view title);
  /// Gives the terminal to another program: as it was before us, until `program` returns.
  void hand_over(const std::function<void()>& program);

 private:
  void enter();
  std::unique_ptr<tui::TerminalGuard> guard_;
  Color color_;
  Charset charset_ = Charset::ascii;
  std::optional<Frame> painted_;
  bool has_title_ = false;
  bool title_was_set_ = false;
};

}  // namespace bot_bottle::screen
