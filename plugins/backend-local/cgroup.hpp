// Control groups of one bottle, v1 or v2, where this user may make them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace bot_bottle::backend_local {

struct CgroupLimits {
  std::optional<double> cpus;
  std::optional<std::uint64_t> memory;  // bytes
  std::optional<std::uint64_t> pids;
};

/// Where groups can be made: one directory on v2, one for each controller on v1. Empty: nowhere.
struct CgroupPlace {
  bool unified = false;
  std::string memory;  // absolute directory to make groups in, or empty
  std::string pids;
  std::string cpu;
};

/// Reads /proc/self/mountinfo and /proc/self/cgroup and looks for what is writable. No side effects.
/// As root: "<root of the hierarchy>/bot-bottle". As a user (v2 only): the topmost delegated group above our own.
CgroupPlace find_cgroup_place();

/// The directories of one bottle's group; removed by `remove_cgroup`.
std::vector<std::string> cgroup_directories(const CgroupPlace& place, const std::string& name);

/// Makes the group with its limits. An asked limit that cannot be set is an error that names it ("limits.memory").
Result<void> create_cgroup(const CgroupPlace& place, const std::string& name, const CgroupLimits& limits);
/// Moves `pid` (0: the caller) in; what it starts afterwards stays inside.
Result<void> enter_cgroup(const CgroupPlace& place, const std::string& name, int pid);
/// Absent is success; processes that are still leaving are waited for, up to a second.
Result<void> remove_cgroup(const std::vector<std::string>& directories);

}  // namespace bot_bottle::backend_local
