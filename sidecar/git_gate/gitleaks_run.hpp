// The program gitleaks over what a push brings, beside our own scan, where a bottle says `scan.engine: gitleaks` (spec
// 05). Blocks: for a Job's thread. Hostile input: what it reads; its report is read as JSON and nothing else.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sidecar/git_gate/push_scan.hpp"

namespace bot_bottle::git_gate {

/// `tips`: commits whose history is new. Errors: it does not run to its end, or its report cannot be read; the push
/// must not go on then.
Result<std::vector<PushFinding>> run_gitleaks(const Workshop& workshop, const std::vector<std::string>& tips,
                                              Workshop::Environment environment, int cancel_fd);

/// gitleaks' JSON report (8.x: RuleID, Commit, File, StartLine).
Result<std::vector<PushFinding>> parse_gitleaks_report(std::string_view text);

}  // namespace bot_bottle::git_gate
