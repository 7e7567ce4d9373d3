// freeze.json: the snapshot that a bottle has, and the lock under which snapshots are made, used and removed. Called by
// launch, removal and the verbs. Throws Failure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/unique_fd.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::state {

struct Frozen {
  std::string backend;
  json::object snapshot;  // bot-bottle.snapshot/1; empty: none yet
  std::int64_t frozen_at_ms = 0;
  /// Names under which something may be that nobody needs: a freeze that was killed, a snapshot that a newer one
  /// replaced. Written before the first and after the second, so a crash forgets neither.
  std::vector<std::string> pending;
  bool next_resume = false;  // the next `resume` starts from it

  [[nodiscard]] bool has_snapshot() const { return !snapshot.empty(); }
  [[nodiscard]] std::string ref() const { return get_string(snapshot, "ref"); }
  [[nodiscard]] std::uint64_t size() const { return static_cast<std::uint64_t>(get_int(snapshot, "size", 0)); }
};

/// Nothing when the bottle was never frozen.
std::optional<Frozen> find_frozen(const Directory& directory);
/// Durable: the snapshot outlives the machine's crash, and so must its record.
void write_frozen(const Directory& directory, const Frozen& frozen);
/// "<slug>.<12 base36>".
std::string make_snapshot_name(const std::string& slug);
/// The bottle that it was made of.
std::string slug_of_snapshot(const json::object& snapshot);

/// Held exclusively while a bottle is frozen or ended, shared while another one starts from its snapshot: a commit and
/// a stop that race come one after the other. Ends with the process. Waits; `try_` gives nothing when it is taken.
enum class FreezeLock : std::uint8_t { shared, exclusive };
UniqueFd lock_freeze(const Directory& directory, FreezeLock mode);
/// Waits at most `patience`: what a bottle may hold up cannot be waited for without an end. Nothing when somebody else
/// still has it then; throws cancelled as soon as `cancel_fd` (borrowed, or -1) is readable.
std::optional<UniqueFd> lock_freeze_within(const Directory& directory, FreezeLock mode,
                                           std::chrono::milliseconds patience, int cancel_fd = -1);
std::optional<UniqueFd> try_lock_freeze(const Directory& directory, FreezeLock mode);

}  // namespace bot_bottle::state
