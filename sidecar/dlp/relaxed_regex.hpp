// A rule's regex widened so that one look at a text finds what any of two readings of it holds: the text as it stands,
// and the text as JSON quotes it (unescape.hpp, without_quoting). Internal to sidecar/dlp.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace bot_bottle::dlp {

/// Wherever `regex` matches `text`, or without_quoting of it, the result matches `text` and ends at the same octet (or
/// at the next, where `regex` ended before the line feed that ends the text). It is no wider: without_quoting puts a
/// space or a line feed for one octet at a time, so what takes those takes the octets they stand for, too; and what
/// asks for the edge of a word asks nothing, because a letter of an escape hides it. Nothing: it holds something that
/// is not read here (look-around, `^`, `$` but in "(?:[^x]|$)" at the end, flags that give signs another meaning).
std::optional<std::string> relax_regex(std::string_view regex);

}  // namespace bot_bottle::dlp
