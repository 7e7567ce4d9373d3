// Keys as a person presses them, from a terminal in raw mode. Used by the picker and the label form. Restores the
// terminal on every way out, also when a signal ends the process. Never throws.
#pragma once

#include <termios.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "core/tui/terminal.hpp"

namespace bot_bottle::tui {

enum class Key : std::uint8_t {
  character,
  up,
  down,
  left,
  right,
  enter,
  cancel,
  backspace,
  clear,
  resize,  // the window has another size: draw again
  none,
};
struct KeyPress {
  Key key = Key::none;
  char character = 0;
};
/// Takes one key press off the front of `bytes` (as read from a raw terminal). A lone escape is cancel; Tab is right.
KeyPress take_key(std::string_view& bytes);

/// One at a time per process, and no other TerminalGuard meanwhile.
class Keyboard {
 public:
  /// `cancel_fd` (borrowed, or -1): readable means cancel.
  explicit Keyboard(int cancel_fd);
  ~Keyboard();
  Keyboard(const Keyboard&) = delete;
  Keyboard& operator=(const Keyboard&) = delete;
  /// Blocks. The end of input is cancel.
  KeyPress next();

 private:
  /// True: something can be read. Waits `timeout_ms` (-1: for ever), looks at the window's size meanwhile.
  enum class Wait : std::uint8_t { ready, timeout, cancelled, resized };
  Wait wait(int timeout_ms);

  TerminalGuard guard_;
  termios shown_{};
  int cancel_fd_;
  WindowSize size_;
  std::string pending_;
};

}  // namespace bot_bottle::tui
