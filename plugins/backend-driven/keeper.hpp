// `bottle-driven keep`: a process that outlives the one that started it. It holds a lock, runs a program if it is told
// to (macOS: the confined sidecar), watches the lifeline, and runs the commands that end a machine when that ends.
#pragma once

#include <string>

namespace bot_bottle::driven {

/// Descriptors that it finds open. The document: {lock, log, program?: [argv], commands?: [[argv]], env: {},
/// deadline_ms}.
inline constexpr int keep_document_fd = 3;
inline constexpr int keep_status_fd = 4;    // one line: {"ready": true, "pid": …} or {"error": "…"}
inline constexpr int keep_lifeline_fd = 5;  // only with --lifeline
inline constexpr int keep_config_fd = 6;    // only with --config: the program's standard input

struct KeepOptions {
  bool lifeline = false;
  bool config = false;
};
int run_keep(const KeepOptions& options);

}  // namespace bot_bottle::driven
