// The child's half of bottle-keeper: from fork to execve of bwrap.
#pragma once

#include <sys/types.h>

#include <vector>

#include "core/base/result.hpp"
#include "core/base/unique_fd.hpp"
#include "plugins/backend-local/keeper_document.hpp"

namespace bot_bottle::backend_local {

/// Descriptors that the sandbox gets; all borrowed.
struct SandboxFds {
  int standard_in = -1;
  int log = -1;            // standard output and error
  int info = -1;           // bwrap's --info-fd: {"child-pid": N}
  int exec_listener = -1;  // bottle only
  int lifeline = -1;       // read end; the keeper holds the other one
  int ready = -1;          // bottle-init writes one byte
  std::vector<int> seccomp;
};

/// Forks; the child enters the cgroup, makes a network namespace (bottle), stages the mounts and changes its uid
/// (root), and becomes bwrap. What fails in the child is written to `fds.log`. Returns bwrap's pid.
Result<pid_t> start_sandbox(const KeeperDocument& document, const CgroupPlace& cgroups, const SandboxFds& fds);

}  // namespace bot_bottle::backend_local
