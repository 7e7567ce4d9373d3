// The truth about what runs: the locks that keepers hold; and the uids they run bottles as.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "core/base/result.hpp"
#include "core/base/unique_fd.hpp"
#include "plugins/backend-local/keeper_document.hpp"

namespace bot_bottle::backend_local {

/// The pid of the keeper that holds the lock at `path`, or nothing. (F_GETLK: the kernel's word, no pid file.)
std::optional<pid_t> find_lock_holder(const std::string& path);

/// Asks the keeper to end, and makes it when it does not: the pid is held by a descriptor, and the lock is looked at
/// again before anything is signalled, so that no stranger with a recycled pid is hit. Nobody there is success.
Result<void> end_keeper(const std::string& lock, std::chrono::milliseconds grace);

/// A uid (and gid of the same number) that no other live bottle has. The descriptor is the reservation.
struct ReservedUid {
  std::uint32_t uid = 0;
  UniqueFd lock;
};
/// Root only. `preferred`: the one this bottle had before, taken when it is free. Uids are 1900000000 and up, which no
/// distribution or container tool hands out; where that is not mapped (a user namespace), 57344 to 60000.
Result<ReservedUid> reserve_uid(std::optional<std::uint32_t> preferred);

/// Ends the reservation that `lock_fd` holds: its file goes, so that nothing is left on the host.
void release_uid(std::uint32_t uid, int lock_fd);
/// Removes reservations whose holder is dead (a keeper that was killed). Safe while others reserve.
void sweep_uids();

}  // namespace bot_bottle::backend_local
