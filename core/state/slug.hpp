// The identity of a bottle. Called wherever a slug comes in: command line, state directories, backends' listings.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bot_bottle::state {

/// DESIGN 1: `[a-z0-9][a-z0-9-]{0,62}`. The only names that ever become part of a path below state/.
inline constexpr std::size_t max_slug_length = 63;
bool is_slug(std::string_view text);

/// A label is the slug verbatim (spec 02). Throws invalid_argument that proposes a label which is one.
std::string slug_of_label(std::string_view label);

/// "<agent>-<5 base36>"; a long agent name is cut so that the result is a slug.
std::string make_slug(std::string_view agent);

/// For a SLUG argument: throws invalid_argument on what cannot be one (so never a path like "../x").
void need_slug(std::string_view text);

}  // namespace bot_bottle::state
