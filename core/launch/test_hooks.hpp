// Switches that only test builds have. Called by launch.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace bot_bottle::launch {

/// BOT_BOTTLE_TEST_DISABLE_GUARDS=a,b: guards that sidecar and backend leave out, so that a test sees them matter.
/// Always empty in a release.
std::vector<std::string> disabled_guards();
/// Those of them that are the sidecar's.
std::vector<std::string> disabled_sidecar_guards();
/// BOT_BOTTLE_TEST_KILL_AT, BOT_BOTTLE_TEST_FAIL_AT: SIGKILL to this process, or a Failure, right after that step.
void act_on_step_hooks(const std::string& step);
/// BOT_BOTTLE_TEST_PATIENCE_MS: how long the end of a bottle waits for what the agent may hold up, instead of `usual`.
std::chrono::milliseconds patience(std::chrono::milliseconds usual);

}  // namespace bot_bottle::launch
