// Whether this machine can run bottles with bwrap, and what would make it.
#pragma once

#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace bot_bottle::backend_local {

struct ProbeResult {
  bool available = false;
  std::string reason;
  std::string fix;
  std::vector<std::string> features;
  std::string version;  // of bwrap
  std::string bwrap;    // absolute
};

/// A few milliseconds: one `bwrap --version`, one trial of a user namespace.
ProbeResult probe_machine();

/// Whether RLIMIT_NPROC is about the bottle alone: as root the bottle has a uid of its own; as a user Linux counts by
/// user namespace since 5.14 (ucounts), before that it counted all of the operator's processes.
bool process_limit_counts_the_bottle();

/// The limits that would hold for a bottle launched now: "limits.pids", "limits.memory", "limits.cpus", "limits.disk".
std::vector<std::string> enforceable_limits();

}  // namespace bot_bottle::backend_local
