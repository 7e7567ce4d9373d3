// Which image recipes the operator approved (spec 06, capability-block), kept where no sidecar can write: what `resume`
// builds is one of them.
#pragma once

#include <filesystem>

#include "core/base/json.hpp"

namespace bot_bottle::launch {

/// Before the approval is sent, so that a crash cannot leave an approved recipe that is not known here. `state_dir` is
/// the bottle's. Throws Failure.
void record_approved_recipe(const std::filesystem::path& state_dir, const json::object& recipe);
bool is_approved_recipe(const std::filesystem::path& state_dir, const json::object& recipe);

}  // namespace bot_bottle::launch
