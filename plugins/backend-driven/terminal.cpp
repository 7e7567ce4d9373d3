#include "plugins/backend-driven/terminal.hpp"

#include <signal.h>
#include <unistd.h>

#include <string_view>

namespace bot_bottle::driven {
namespace {

// For the signals that cannot be waited for: a crash must not leave the operator with a dead terminal.
int crash_fd = -1;
termios crash_saved{};

void on_crash(int number) {
  if (crash_fd >= 0) ::tcsetattr(crash_fd, TCSANOW, &crash_saved);
  ::signal(number, SIG_DFL);
  ::raise(number);
}

}  // namespace

RawTerminal::RawTerminal(int fd) : fd_(fd) {
  if (::isatty(fd) == 0 || ::tcgetattr(fd, &saved_) != 0) return;
  crash_saved = saved_;
  crash_fd = fd;
  for (const int number : {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE}) ::signal(number, on_crash);
  termios raw = saved_;
  ::cfmakeraw(&raw);
  active_ = ::tcsetattr(fd, TCSANOW, &raw) == 0;
}

void RawTerminal::restore() {
  if (!active_) return;
  active_ = false;
  crash_fd = -1;
  if (::isatty(1) != 0) {
    static constexpr std::string_view reset =
        "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b>\x1b[?25h\x1b[0m";
    [[maybe_unused]] const ssize_t written = ::write(1, reset.data(), reset.size());
  }
  ::tcsetattr(fd_, TCSADRAIN, &saved_);
}

}  // namespace bot_bottle::driven
