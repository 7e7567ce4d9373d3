#include "core/tui/question.hpp"

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/base/file.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/tui/terminal.hpp"

namespace bot_bottle::tui {

Answer confirm(std::string_view question, int cancel_fd) {
  if (!is_terminal(STDIN_FILENO)) return Answer::no;
  [[maybe_unused]] const auto asked = write_all(STDERR_FILENO, escape_untrusted(question, 200) + " [y/N] ");
  const auto end_with = [](Answer answer) {
    [[maybe_unused]] const auto newline = write_all(STDERR_FILENO, "\n");
    return answer;
  };
  std::string typed;
  while (true) {
    std::array<pollfd, 2> polled{
        {{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0}, {.fd = cancel_fd, .events = POLLIN, .revents = 0}}};
    if (::poll(polled.data(), polled.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return end_with(Answer::cancelled);
    }
    if (polled[1].revents != 0) return end_with(Answer::cancelled);
    char c = 0;
    const ssize_t got = ::read(STDIN_FILENO, &c, 1);  // a line at a time comes from the terminal; the rest stays there
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return end_with(Answer::no);
    if (c != '\n') {
      typed += c;
      continue;
    }
    const std::string word = to_lower(trim(typed));
    return word == "y" || word == "yes" ? Answer::yes : Answer::no;
  }
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
