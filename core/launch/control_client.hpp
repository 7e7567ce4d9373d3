// The client of a sidecar's control channel (docs/internals.md). Called by launch and by routes, check, logs.
// Hostile input: the answers, when a sidecar was taken over: 1 MiB a line, bounded JSON, every wait timed.
#pragma once

#include <chrono>
#include <filesystem>

#include "core/base/json.hpp"

namespace bot_bottle::launch {

inline constexpr std::size_t max_control_line = std::size_t{1} << 20;

/// Sends `request` ({"call": "status", …}; an "id" is added) and gives the answer's `ok`. Throws Failure: unavailable
/// when nothing listens, timeout, the error of the answer, or internal when it breaks the protocol.
json::object control_call(const std::filesystem::path& socket, const json::object& request,
                          std::chrono::milliseconds timeout);

}  // namespace bot_bottle::launch
