// Below the table of `list`: bottles that do not run and are kept, and what a killed launch left.
#pragma once

#include "core/cli/context.hpp"
#include "core/launch/backends.hpp"

namespace bot_bottle::cli {

void note_kept(const Context& context, const Home& home, const launch::Running& running);

}  // namespace bot_bottle::cli
