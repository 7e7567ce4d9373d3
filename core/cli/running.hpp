// A call to the sidecar of a bottle that runs. Called by the verbs that look at or change a live bottle.
#pragma once

#include <chrono>
#include <string>

#include "core/base/json.hpp"
#include "core/cli/context.hpp"

namespace bot_bottle::cli {

/// The call's `ok`. Throws Failure: not_found for no such bottle, failed_precondition with `next` for one that does not
/// run, and the sidecar's own errors.
json::object call_running(Context& context, const std::string& slug, const json::object& request,
                          std::chrono::milliseconds timeout, const std::string& next);

}  // namespace bot_bottle::cli
