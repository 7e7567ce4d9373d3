// The operator's terminal in raw mode, and back again whatever happens.
#pragma once

#include <termios.h>

namespace bot_bottle::driven {

class RawTerminal {
 public:
  /// Does nothing where `fd` is not a terminal.
  explicit RawTerminal(int fd);
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  ~RawTerminal() { restore(); }
  /// Also switches off what a program that died may have left on (mouse reports, bracketed paste, hidden cursor).
  void restore();
  [[nodiscard]] bool is_active() const { return active_; }

 private:
  int fd_;
  bool active_ = false;
  termios saved_{};
};

}  // namespace bot_bottle::driven
