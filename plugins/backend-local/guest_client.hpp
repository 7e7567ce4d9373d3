// The plugin's end of the exec socket: runs one program in the bottle and collects what it writes. What comes back is
// hostile: the bottle's end may lie, flood or stall.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace bot_bottle::backend_local {

struct GuestRun {
  std::vector<std::string> argv;
  std::vector<std::string> env;  // "NAME=value"
  std::string cwd;
  std::string session;
  bool detached = false;                 // started and left alone
  bool tty = false;                      // only with detached
  int stdin_fd = -1;                     // borrowed; -1: empty
  std::chrono::milliseconds timeout{0};  // 0: none
  std::size_t max_output = std::size_t{1} << 20;
  int cancel_fd = -1;
};

struct GuestResult {
  int code = 0;
  std::string out;
  std::string err;
  bool truncated = false;
};

/// `socket`: the exec socket's path. Errors: failed_precondition (no bottle there), not_found and permission_denied
/// (the program cannot be started), timeout, cancelled (the program's process group is killed by bottle-init).
Result<GuestResult> run_in_guest(const std::string& socket, const GuestRun& run);

}  // namespace bot_bottle::backend_local
