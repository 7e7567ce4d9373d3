#include "core/tui/terminal.hpp"

#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "core/base/file.hpp"
#include "core/base/secret.hpp"
#include "core/base/terminal_text.hpp"

namespace bot_bottle::tui {
namespace {

constexpr std::array<Tint, 14> tints{{
    {"red", "#300a0a"},
    {"green", "#0a280f"},
    {"yellow", "#2b2508"},
    {"blue", "#0a1430"},
    {"magenta", "#2a0a2c"},
    {"cyan", "#08292b"},
    {"white", "#2a2a2a"},
    {"bright-red", "#4a1010"},
    {"bright-green", "#103f18"},
    {"bright-yellow", "#453b0c"},
    {"bright-blue", "#10204a"},
    {"bright-magenta", "#431046"},
    {"bright-cyan", "#0c4145"},
    {"bright-white", "#404040"},
}};

/// For the signal handler: plain data that is written before the handler is installed.
struct Saved {
  termios settings{};
  int input = -1;
  int output = -1;
  std::array<char, 512> reset{};
  std::size_t reset_size = 0;
};
Saved saved;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): a signal handler has no other place

constexpr std::array fatal_signals{SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGQUIT};

void write_reset() {
  if (saved.output >= 0) {
    [[maybe_unused]] const ssize_t written = ::write(saved.output, saved.reset.data(), saved.reset_size);
  }
  if (saved.input >= 0) ::tcsetattr(saved.input, TCSADRAIN, &saved.settings);
}

void on_fatal_signal(int number) {
  write_reset();
  ::signal(number, SIG_DFL);
  ::raise(number);
}

}  // namespace

bool is_terminal(int fd) {
  return ::isatty(fd) == 1;
}

WindowSize window_size(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return {};
  return {size.ws_row, size.ws_col};
}

std::optional<Tint> find_tint(std::string_view name) {
  for (const Tint& tint : tints)
    if (tint.name == name) return tint;
  return std::nullopt;
}

std::vector<std::string> tint_names() {
  std::vector<std::string> names;
  for (const Tint& tint : tints) names.emplace_back(tint.name);
  return names;
}

// 22;0t pushes the operator's own title on the terminal's stack.
std::string title_sequence(std::string_view title) {
  return "\x1b[22;0t\x1b]0;" + escape_untrusted(title, 200) + "\x1b\\";
}

std::string tint_sequence(const Tint& tint) {
  return "\x1b]11;" + std::string(tint.background) + "\x1b\\";
}

std::string reset_sequence(Ending ending) {
  std::string text;
  if (ending == Ending::crash) text += "\x1b[?1049l";
  text += "\x1b[?47l";  // the other screen, without moving the cursor
  text += "\x1b[?9l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1005l\x1b[?1006l\x1b[?1015l";  // mouse reports
  text += "\x1b[?1004l\x1b[?2004l";                        // focus reports, bracketed paste
  text += "\x1b[<u\x1b[>4;0m";                             // keyboard protocols
  text += "\x1b[?1l\x1b>\x1b[?7h\x1b[4l\x1b[r\x1b(B\x0f";  // keypad, wrap, insert, scroll region, character set
  text += "\x1b[0m\x1b[?25h";                              // colours, cursor
  text += "\x1b]104\x1b\\\x1b]110\x1b\\\x1b]111\x1b\\\x1b]112\x1b\\";  // palette, foreground, background, cursor colour
  // \x1b[r moves the cursor home: save and restore it around.
  return "\x1b"
         "7" +
         text +
         "\x1b"
         "8\x1b[?25h\x1b[0m";
}

TerminalGuard::TerminalGuard(int input, int output, Restores restores) : restores_(restores) {
  if (!is_terminal(input) || !is_terminal(output)) return;
  if (::tcgetattr(input, &saved.settings) != 0) return;
  active_ = true;
  output_ = output;
  const std::string reset =
      restores == Restores::everything ? reset_sequence(Ending::crash) + std::string(title_reset) : "";
  saved.reset_size = std::min(reset.size(), saved.reset.size());
  std::memcpy(saved.reset.data(), reset.data(), saved.reset_size);
  saved.input = input;
  saved.output = output;
  for (const int number : fatal_signals) ::signal(number, on_fatal_signal);
}

TerminalGuard::~TerminalGuard() {
  if (!active_) return;
  for (const int number : fatal_signals) ::signal(number, SIG_DFL);
  if (restores_ == Restores::everything) {
    std::string text = reset_sequence(ending_);
    if (has_title_) text += title_reset;
    [[maybe_unused]] const auto written = write_all(output_, text);
  }
  // Our own process may be in the background when the agent's program had the terminal: without this tcsetattr stops
  // us.
  sigset_t block;
  sigset_t before;
  ::sigemptyset(&block);
  ::sigaddset(&block, SIGTTOU);
  ::sigprocmask(SIG_BLOCK, &block, &before);
  ::tcsetattr(saved.input, TCSADRAIN, &saved.settings);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  saved.input = -1;
  saved.output = -1;
}

void TerminalGuard::set_title(std::string_view title) {
  if (!active_) return;
  has_title_ = true;
  [[maybe_unused]] const auto written = write_all(output_, title_sequence(title));
}

void TerminalGuard::set_tint(const Tint& tint) const {
  if (!active_) return;
  [[maybe_unused]] const auto written = write_all(output_, tint_sequence(tint));
}

std::optional<std::string> ask_hidden(std::string_view question) {
  if (!is_terminal(STDIN_FILENO)) return std::nullopt;
  const TerminalGuard guard(STDIN_FILENO, STDERR_FILENO, Restores::settings);
  termios hidden{};
  if (::tcgetattr(STDIN_FILENO, &hidden) != 0) return std::nullopt;
  const termios shown = hidden;
  hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO | ISIG);  // a Ctrl-C that killed us would leave the echo off
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
  [[maybe_unused]] const auto asked = write_all(STDERR_FILENO, escape_untrusted(question, 200) + " ");
  std::string answer;
  bool ended = false;
  while (true) {
    char c = 0;
    const ssize_t got = ::read(STDIN_FILENO, &c, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || c == '\x03') break;
    if (c == '\n') {
      ended = true;
      break;
    }
    answer += c;
  }
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
  [[maybe_unused]] const auto newline = write_all(STDERR_FILENO, "\n");
  if (!ended) return std::nullopt;
  return answer;
}

}  // namespace bot_bottle::tui
