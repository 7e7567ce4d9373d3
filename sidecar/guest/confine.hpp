// What bottle-init gives up for itself and for each program it starts.
#pragma once

#include <string>
#include <vector>

#include "core/base/unique_fd.hpp"

namespace bot_bottle::guest {

/// Sets `lo` up if it is down (needs CAP_NET_ADMIN only then). False and errno on failure.
bool bring_up_loopback();

/// Drops every capability (bounding and ambient sets too), sets no_new_privs, makes the process undumpable, so that the
/// agent (same uid) can neither read /proc/1/* nor attach (spec 09 item 5). False and errno when any of it failed.
bool drop_privileges();

/// A Landlock ruleset: read and execute anywhere, write only below `writable`. Empty where the kernel has none (< 5.19,
/// where renames between directories would break): it is the second wall, behind read-only mounts.
UniqueFd make_landlock(const std::vector<std::string>& writable);
/// For the calling process and all that follow. Async-signal-safe.
bool enter_landlock(int ruleset);

}  // namespace bot_bottle::guest
