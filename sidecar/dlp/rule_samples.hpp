// Samples without credentials: templates in the rule files become text only in memory, so that neither our files nor
// another scanner's report on them holds anything that looks alive.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace bot_bottle::dlp {

/// Expands `{{36:alnum}}` (36 characters of that alphabet, always the same for the same `seed`) and `{{-}}` (nothing).
/// Alphabets: alnum, lower, upper, upnum, lownum, digit, hex, HEX, base64, base64url.
Result<std::string> expand_sample(std::string_view text, std::uint64_t seed);

}  // namespace bot_bottle::dlp
