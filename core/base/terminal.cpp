#include "core/base/terminal.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace bot_bottle {

std::optional<winsize> standard_terminal_size() {
  winsize size{};
  for (const int fd : {0, 1, 2})
    if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) return size;
  return std::nullopt;
}

bool write_all_waiting(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(count));
    } else if (count < 0 && errno == EAGAIN) {
      pollfd entry{.fd = fd, .events = POLLOUT, .revents = 0};
      ::poll(&entry, 1, -1);
    } else if (count == 0 || errno != EINTR) {
      return false;
    }
  }
  return true;
}

}  // namespace bot_bottle
