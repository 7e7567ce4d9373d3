// Starting `bottle-driven keep`, for the two who do.
#pragma once

#include <sys/types.h>

#include "bot_bottle/plugin.hpp"

namespace bot_bottle::driven {

struct StartedKeep {
  pid_t pid = -1;      // our child
  pid_t program = -1;  // what it runs, or itself
};
/// Returns when it holds its lock and runs its program. Throws what it says; then it has ended.
StartedKeep start_keep(const sdk::Host& host, const sdk::Call& call, const json::object& document, int config_fd,
                       int lifeline_fd);

}  // namespace bot_bottle::driven
