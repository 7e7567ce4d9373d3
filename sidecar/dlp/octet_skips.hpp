// Goes over blocks of 64 octets that hold nothing of what is looked for, which are most of a text: what searches it 16
// octets at a time reads only the others. Internal to sidecar/dlp.
#pragma once

#include <cstddef>
#include <string_view>

namespace bot_bottle::dlp {

/// Each gives `from` or whole blocks after it; in what lies between nothing begins that its name says. A processor that
/// cannot do it gives `from`. Guarded by dlp_skips_test.
std::size_t skip_without_backslash(std::string_view text, std::size_t from);
std::size_t skip_without_either(std::string_view text, std::size_t from, char one, char other);
/// What find_escape asks further about: "\n" and "\"" are none.
std::size_t skip_without_escape(std::string_view text, std::size_t from);
/// Of 16 octets at a time none has only octets of "+" and above that are ASCII.
std::size_t skip_without_run(std::string_view text, std::size_t from);
/// Of 16 octets at a time each has three neighbours that are hex digits, or three that are none.
std::size_t skip_without_pairs(std::string_view text, std::size_t from);
/// No octet behind one of these is 128 or more, 1, or "^".
std::size_t skip_without_blob(std::string_view text, std::size_t from);

}  // namespace bot_bottle::dlp
