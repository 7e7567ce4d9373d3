// Makes text of unknown origin safe to show: the one way from agent-written bytes to a terminal.
// Hostile input: everything an agent can write (file names, log lines, error bodies, labels).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bot_bottle {

/// C0, DEL, C1, bidirectional and zero-width characters, line and paragraph separators, Unicode tags,
/// variation selectors and invalid UTF-8 become visible escapes (`\x1b`, `\u{202e}`); so no text can
/// move the cursor, hide itself or lie about its end (spec 09 item 8). At most `max_bytes` of result;
/// longer ends in "…".
std::string escape_untrusted(std::string_view text, std::size_t max_bytes = 4096);

/// The same for text of several lines: `\n` and `\t` stay.
std::string escape_untrusted_lines(std::string_view text, std::size_t max_bytes = std::size_t{64} << 10);

}  // namespace bot_bottle
