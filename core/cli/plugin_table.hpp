// Plugins as `list plugins` and `plugin list` show them.
#pragma once

#include <string_view>

#include "core/cli/context.hpp"
#include "core/plugins/registry.hpp"

namespace bot_bottle::cli {

std::string_view name_of(plugins::Description::State state);
Tone tone_of(plugins::Description::State state);
int list_plugins(Context& context);

}  // namespace bot_bottle::cli
