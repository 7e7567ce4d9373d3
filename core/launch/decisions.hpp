// A bottle's decisions on their way from its sidecar's journal to the audit, which outlives it. Called by `supervise`,
// by `audit`, and before a state is removed. Throws Failure.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string_view>

#include "core/base/json.hpp"
#include "core/base/paths.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::launch {

/// How far this bottle's journal is in the audit. Throws failed_precondition when the audit is damaged: who answers
/// asks first, so that no decision is made that cannot be recorded.
std::uint64_t decisions_recorded(const Home& home, const state::Directory& directory);
/// Records the `decisions` of an answer that are not recorded yet; gives how many were.
std::size_t record_decisions(const Home& home, const state::Directory& directory, const json::object& answer);

/// Asks the running sidecar for what is not recorded yet and records it. A sidecar that does not know the call has
/// nothing to copy.
std::size_t copy_decisions(const Home& home, const state::Directory& directory, std::chrono::milliseconds timeout);
/// Before a state is removed, its sidecar ended: what its journal still has. A journal that cannot be read is recorded
/// as such and does not keep the state from going; an audit that cannot be written does.
void keep_decisions(const Home& home, const state::Directory& directory);

}  // namespace bot_bottle::launch
