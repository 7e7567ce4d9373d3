#include "core/tui/terminal.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "core/base/file.hpp"
#include "core/base/paths.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::tui {
namespace {

constexpr std::array<Tint, 14> tints{{
    {"red", "#300a0a", 1},
    {"green", "#0a280f", 2},
    {"yellow", "#2b2508", 3},
    {"blue", "#0a1430", 4},
    {"magenta", "#2a0a2c", 5},
    {"cyan", "#08292b", 6},
    {"white", "#2a2a2a", 7},
    {"bright-red", "#4a1010", 9},
    {"bright-green", "#103f18", 10},
    {"bright-yellow", "#453b0c", 11},
    {"bright-blue", "#10204a", 12},
    {"bright-magenta", "#431046", 13},
    {"bright-cyan", "#0c4145", 14},
    {"bright-white", "#404040", 15},
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
/// Taken only where nobody else handles them: a picker that is ended before the launch has its handlers.
constexpr std::array ending_signals{SIGTERM, SIGHUP, SIGINT};

void write_reset() {
  if (saved.output >= 0) {
    [[maybe_unused]] const ssize_t written = ::write(saved.output, saved.reset.data(), saved.reset_size);
  }
  if (saved.input >= 0) ::tcsetattr(saved.input, TCSADRAIN, &saved.settings);
}

void on_fatal_signal(int number);

/// Ours instead of the default, or the default instead of ours; what others set stays.
void exchange_ending_handlers(void (*from)(int), void (*to)(int)) {
  for (const int number : ending_signals) {
    struct sigaction now {};
    if (::sigaction(number, nullptr, &now) == 0 && now.sa_handler == from) ::signal(number, to);
  }
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
  names.reserve(tints.size());
  for (const Tint& tint : tints) names.emplace_back(tint.name);
  return names;
}

// 22;0t pushes the operator's own title on the terminal's stack.
std::string title_sequence(std::string_view title) {
  return "\x1b[22;0t\x1b]0;" + escape_untrusted(title, 200) + "\x1b\\";
}

std::string tint_sequence(const Tint& tint) {
  const std::string background(tint.background);
  return "\x1b]11;" + background + "\x1b\\\x1b]4;0;" + background + "\x1b\\";
}

std::string tinted(std::string_view text, const Tint& tint, const Look& look) {
  if (!look.color) return std::string(text);
  const std::string depth = environment("COLORTERM").value_or("");
  const auto channel = [&tint](std::size_t at) {
    int value = 0;
    std::from_chars(tint.background.data() + at, tint.background.data() + at + 2, value, 16);
    return value;
  };
  std::string background;
  if (depth == "truecolor" || depth == "24bit") {
    background = fmt::format("97;48;2;{};{};{}", channel(1), channel(3), channel(5));
  } else if (environment("TERM").value_or("").find("256color") != std::string::npos) {
    // The 6x6x6 cube of xterm: 0, 95, 135, …
    const auto level = [](int value) {
      return value < 48 ? (value > 24 ? 1 : 0) : value < 115 ? 1 : (value - 35) / 40;
    };
    background = fmt::format("97;48;5;{}", 16 + 36 * level(channel(1)) + 6 * level(channel(3)) + level(channel(5)));
  } else {
    background = fmt::format("30;{}", tint.ansi < 8 ? 40 + tint.ansi : 100 + tint.ansi - 8);
  }
  return fmt::format("\x1b[{}m{}\x1b[0m", background, text);
}

Look Look::find(int fd, bool no_color) {
  Look look;
  const auto set = [](const char* name) { return !environment(name).value_or("").empty(); };
  const std::string term = environment("TERM").value_or("dumb");
  look.color = is_terminal(fd) && !no_color && !set("NO_COLOR") && term != "dumb" && term != "vt100";
  std::string locale;
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"})
    if (locale.empty()) locale = to_lower(environment(name).value_or(""));
  look.unicode = locale.find("utf-8") != std::string::npos || locale.find("utf8") != std::string::npos;
  return look;
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
  exchange_ending_handlers(SIG_DFL, on_fatal_signal);
}

TerminalGuard::~TerminalGuard() {
  if (!active_) return;
  for (const int number : fatal_signals) ::signal(number, SIG_DFL);
  exchange_ending_handlers(on_fatal_signal, SIG_DFL);
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

}  // namespace bot_bottle::tui
