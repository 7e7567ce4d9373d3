// The egress policy that a launch of this manifest would have: the bottle's routes and its provider's. Called by
// `check` and `info`.
#pragma once

#include "core/cli/context.hpp"
#include "core/manifest/manifest.hpp"
#include "core/policy/egress.hpp"

namespace bot_bottle::cli {

/// Loads the provider. When that fails the reason is a warning and the bottle's own routes are what is left.
policy::Egress effective_egress(Context& context, const manifest::Manifest& manifest);

}  // namespace bot_bottle::cli
