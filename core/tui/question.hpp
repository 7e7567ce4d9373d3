// Questions of one line on the terminal: stderr shows, stdin answers. Never throws.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bot_bottle::tui {

enum class Answer : std::uint8_t { yes, no, cancelled };
/// "question [y/N] ": only y and yes are yes. `cancel_fd` (borrowed, or -1): readable ends it at once, not at the next
/// Enter. The end of input is no.
Answer confirm(std::string_view question, int cancel_fd);

/// Without echo; nothing at the end of input, on Ctrl-C or without a terminal.
std::optional<std::string> ask_hidden(std::string_view question);

}  // namespace bot_bottle::tui
