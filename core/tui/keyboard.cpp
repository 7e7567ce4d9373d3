#include "core/tui/keyboard.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace bot_bottle::tui {
namespace {

/// How long the rest of an arrow key may take over a slow line, before its first octet is the escape key itself.
constexpr int escape_time_ms = 50;
constexpr int size_look_ms = 200;

bool is_incomplete(std::string_view bytes) {
  if (bytes == "\x1b") return true;
  if (bytes.size() < 2 || bytes[0] != '\x1b' || (bytes[1] != '[' && bytes[1] != 'O')) return false;
  return std::ranges::none_of(bytes.substr(2), [](char c) { return c >= '@' && c <= '~'; });
}

}  // namespace

KeyPress take_key(std::string_view& bytes) {
  if (bytes.empty()) return {};
  const char c = bytes.front();
  if (c == '\x1b') {
    if (bytes.size() >= 3 && (bytes[1] == '[' || bytes[1] == 'O')) {
      std::size_t end = 2;
      while (end < bytes.size() && (bytes[end] < '@' || bytes[end] > '~')) ++end;
      const char final = end < bytes.size() ? bytes[end] : '\0';
      bytes.remove_prefix(std::min(bytes.size(), end + 1));
      switch (final) {
        case 'A':
          return {Key::up};
        case 'B':
          return {Key::down};
        case 'C':
          return {Key::right};
        case 'D':
        case 'Z':  // shift-Tab
          return {Key::left};
        default:
          return {};
      }
    }
    bytes.remove_prefix(1);
    return {Key::cancel};
  }
  bytes.remove_prefix(1);
  switch (c) {
    case '\r':
    case '\n':
      return {Key::enter};
    case '\t':
      return {Key::right};
    case '\x03':  // Ctrl-C
    case '\x04':  // Ctrl-D
      return {Key::cancel};
    case '\x7f':
    case '\b':
      return {Key::backspace};
    case '\x15':  // Ctrl-U
      return {Key::clear};
    case '\x10':  // Ctrl-P
      return {Key::up};
    case '\x0e':  // Ctrl-N
      return {Key::down};
    default:
      break;
  }
  if (c >= ' ' && c <= '~') return {Key::character, c};
  return {};
}

Keyboard::Keyboard(int cancel_fd)
    : guard_(STDIN_FILENO, STDERR_FILENO, Restores::settings),
      cancel_fd_(cancel_fd),
      size_(window_size(STDERR_FILENO)) {
  if (::tcgetattr(STDIN_FILENO, &shown_) != 0) return;
  termios raw = shown_;
  raw.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | ISIG | IEXTEN);
  raw.c_iflag &= ~static_cast<tcflag_t>(IXON);
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);  // what was typed ahead stays
}

Keyboard::~Keyboard() {
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &shown_);
}

Keyboard::Wait Keyboard::wait(int timeout_ms) {
  while (true) {
    std::array<pollfd, 2> polled{
        {{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0}, {.fd = cancel_fd_, .events = POLLIN, .revents = 0}}};
    const int ready = ::poll(polled.data(), polled.size(), timeout_ms < 0 ? size_look_ms : timeout_ms);
    if (ready < 0 && errno != EINTR) return Wait::cancelled;
    if (ready > 0) return polled[1].revents != 0 ? Wait::cancelled : Wait::ready;
    if (timeout_ms >= 0) return Wait::timeout;
    const WindowSize now = window_size(STDERR_FILENO);
    if (now.rows != size_.rows || now.columns != size_.columns) {
      size_ = now;
      return Wait::resized;
    }
  }
}

KeyPress Keyboard::next() {
  while (true) {
    if (pending_.empty() || is_incomplete(pending_)) {
      const Wait waited = wait(pending_.empty() ? -1 : escape_time_ms);
      if (waited == Wait::cancelled) return {Key::cancel};
      if (waited == Wait::resized) return {Key::resize};
      if (waited == Wait::ready) {
        std::array<char, 64> buffer{};
        const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return {Key::cancel};
        pending_.append(buffer.data(), static_cast<std::size_t>(got));
        continue;
      }
    }
    std::string_view rest = pending_;
    const KeyPress press = take_key(rest);
    pending_.erase(0, pending_.size() - rest.size());
    if (press.key != Key::none) return press;
  }
}

}  // namespace bot_bottle::tui
