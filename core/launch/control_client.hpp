// The client of a sidecar's control channel (docs/internals.md). Called by launch and by routes, check, logs.
// Hostile input: the answers, when a sidecar was taken over: 1 MiB a line, bounded JSON, every wait timed.
#pragma once

#include <chrono>
#include <filesystem>
#include <string_view>

#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::launch {

inline constexpr std::size_t max_control_line = std::size_t{1} << 20;

/// Sends `request` ({"call": "status", …}; an "id" is added) and gives the answer's `ok`. Throws Failure: unavailable
/// when nothing listens, timeout, the error of the answer, or internal when it breaks the protocol.
json::object control_call(const std::filesystem::path& socket, const json::object& request,
                          std::chrono::milliseconds timeout);

/// A connection that does not block. Throws Failure: unavailable when nothing listens.
UniqueFd connect_control(const std::filesystem::path& socket);
/// The `ok` of one answer's line, or the error that it is.
Result<json::object> read_control_answer(std::string_view line, std::size_t max_octets = max_control_line);

}  // namespace bot_bottle::launch
