// `bottle-keeper run`.
#pragma once

namespace bot_bottle::backend_local {

struct KeeperOptions {
  bool lifeline = false;
  bool config = false;
  bool uid_lock = false;
};

/// Reads its document, starts the sandbox, says so on the status descriptor, and stays until the sandbox has ended: by
/// itself, by SIGTERM, by the end of the lifeline, or by a guard. Returns the exit code.
int run_keeper(const KeeperOptions& options);

}  // namespace bot_bottle::backend_local
