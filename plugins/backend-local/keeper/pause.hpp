// Holds a bottle still while it is copied: every process of it is stopped (SIGSTOP), so that a snapshot is of one
// moment. `bottle-keeper pause` does it, and not the plugin: when the CLI dies, however, its end of the lifeline closes
// and the bottle goes on; when the helper itself is killed, the keeper sees its record without its lock and lets go.
#pragma once

#include <sys/types.h>

#include <string>

#include "core/base/result.hpp"

namespace bot_bottle::backend_local {

/// `bottle-keeper pause STATE_DIR`: stops the bottle, says {"paused": true} on the status descriptor, lets go when the
/// lifeline closes. Returns the exit code.
int run_pause(const std::string& state_dir);

/// For the keeper: lets go what a killed helper left stopped. Cheap when there is nothing.
void let_go_of_abandoned(const std::string& state_dir);

/// Stops every descendant of `keeper` that is in a process namespace below ours, and writes down whom in the record,
/// before it does. What was stopped already, by the agent itself, is left to it.
Result<void> hold_still(pid_t keeper, const std::string& record);
/// Continues what the record names, children before their parents: no shell in there sees a stopped child.
void let_go(const std::string& record);

}  // namespace bot_bottle::backend_local
