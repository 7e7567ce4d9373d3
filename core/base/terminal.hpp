// What relays between a person's terminal and a bottle share.
#pragma once

#include <sys/ioctl.h>

#include <optional>
#include <string_view>

namespace bot_bottle {

/// Of the first of the standard streams that is a terminal and knows its size.
std::optional<winsize> standard_terminal_size();
/// Waits for room when the reader is slow; false when it is gone.
bool write_all_waiting(int fd, std::string_view bytes);

}  // namespace bot_bottle
