// Regexes of other people's rule files as a stream can hold them. Hostile input: none (the operator's own file).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace bot_bottle::dlp {

/// The same regex with each open repeat (`x+`, `x*`, `x{3,}`) ended after `more` further ones, and `^` as the beginning
/// of a line: a stream has no end to wait for and no beginning of its own. Errors name what RE2 has no word for either
/// (look-around, back-references, atomic groups, `\A`).
Result<std::string> bound_repeats(std::string_view regex, std::size_t more);

/// An allow regex such as `^true|false|null$`: its anchors bind one alternative each, so it allows whatever contains
/// "false".
bool has_unbalanced_anchor(std::string_view regex);

}  // namespace bot_bottle::dlp
