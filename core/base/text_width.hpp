// Text as a terminal shows it, in columns: wide East Asian and emoji take 2, combining marks 0. Called by whatever lays
// out lines. The text must be valid UTF-8 without control characters: pass it through escape_untrusted first.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace bot_bottle {

std::size_t text_width(std::string_view text);
/// At most `width` columns, ending in "…" when something was cut.
std::string cut_to_width(std::string_view text, std::size_t width);
/// Lines of at most `width` columns (at least 8), broken at spaces; a word that is longer is broken where it is, never
/// cut: what an operator agrees to is read to its end. The second and later lines begin with `indent` spaces.
std::vector<std::string> wrap_to_width(std::string_view text, std::size_t width, std::size_t indent = 0);

}  // namespace bot_bottle
