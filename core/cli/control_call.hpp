// One question to a running bottle's sidecar over its control channel (docs/internals.md). Called by `check`.
// Hostile input: the answer (the sidecar parses hostile bytes): bounded in size and time, checked as JSON.
#pragma once

#include <filesystem>
#include <string>

#include "core/base/json.hpp"

namespace bot_bottle::cli {

/// The `ok` object. Failure: failed_precondition when the bottle does not run, timeout after 5 s, or the sidecar's own error.
json::object control_call(const std::filesystem::path& state, const std::string& slug, json::object request);

}  // namespace bot_bottle::cli
