// What ends a bottle whose engine holds no pipe for us: the agent's pid 1 holds a connection to the sidecar's pid 1,
// and that one reads the operator's stream. When either end dies, by whatever, so does the rest.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/base/unique_fd.hpp"
#include "sidecar/guest/loop.hpp"

namespace bot_bottle::guest {

/// Connects to `target` (find_target's text), again and again for 20 s, and ends the process when that connection ends
/// or never comes about.
void follow_lifeline(Loop& loop, const std::string& target);

/// Listens on `target` (a path, or "tcp:ADDRESS:PORT"), beside earlier ones, and holds what connects. False and errno
/// when it cannot.
bool hold_lifelines(Loop& loop, const std::string& target);

/// Standard input: a u32 length, so many bytes (the configuration, with its secrets) which go to `into`, then nothing
/// until its end, when `on_end` is called if that is waited for, or if the configuration is not whole.
enum class AfterConfig : std::uint8_t { wait_for_end, ignore_end };
void feed_configuration(Loop& loop, UniqueFd into, AfterConfig after, std::function<void()> on_end);

}  // namespace bot_bottle::guest
