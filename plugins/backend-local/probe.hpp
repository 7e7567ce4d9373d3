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

/// The limits that would hold for a bottle launched now: "limits.pids", "limits.memory", "limits.cpus", "limits.disk".
std::vector<std::string> enforceable_limits();

}  // namespace bot_bottle::backend_local
