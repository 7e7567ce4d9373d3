// commit: a snapshot of a running bottle, recorded so that nothing half-made stays whatever dies when. The snapshot
// itself is the backend's freezer's ({kind, ref, size}); nothing here knows what it is made of. Called by `commit`,
// removal and launch. Throws Failure.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "core/base/paths.hpp"
#include "core/launch/backends.hpp"
#include "core/state/frozen.hpp"

namespace bot_bottle::launch {

/// How long the end of a bottle waits for a commit or fork under way: one of a large bottle takes minutes, one that the
/// agent holds up takes as long as it likes.
inline constexpr std::chrono::minutes commit_time{5};

struct CommitParts {
  const Backends* backends = nullptr;
  Home home;
  std::function<void(std::string_view)> warn = [](std::string_view) {};
  int cancel_fd = -1;  // borrowed; what cancels the calls of the backends' plugins, and waiting for another commit
};

/// Freezes a running bottle and saves its transcript; it goes on running. The old snapshot stays valid until the new
/// one is on disk and recorded. Waits for a stop or another commit of it, an hour at most; failed_precondition when it
/// does not run (any more).
state::Frozen commit_bottle(const CommitParts& parts, const std::string& slug);

/// Removes what `pending` names; the exclusive lock is held. What cannot be removed stays pending.
void settle_pending(const Backends& backends, const state::Directory& directory);
/// Before a state directory is removed: its snapshots, which may be elsewhere (images of an engine).
void remove_snapshots(const Backends& backends, const state::Directory& directory);

}  // namespace bot_bottle::launch
