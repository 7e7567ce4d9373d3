// The two parts of a push that block, each run by a Job: everything before the upstream is spoken to, and the upstream
// with what follows. README.md has the state machine. Hostile input: the pack.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/git_gate/job.hpp"
#include "sidecar/git_gate/push_scan.hpp"
#include "sidecar/git_gate/receive_request.hpp"
#include "sidecar/git_gate/ref_rules.hpp"
#include "sidecar/git_gate/upstream.hpp"

namespace bot_bottle::git_gate {

/// What a push is, while it is one. Only one of loop and job uses it at a time.
struct PushTask {
  const Workshop* workshop = nullptr;
  std::filesystem::path directory;  // quarantine/<n>: incoming.pack, objects/, objects.list
  ReceiveRequest request;
  std::uint64_t pack_octets = 0;
  std::shared_ptr<const Refs> refs;  // the upstream's, when the check began
  ScanRules rules;
  Credentials credentials;

  // Results of the check.
  std::optional<Error> fault;                       // the push as a whole
  std::vector<std::optional<RefRefusal>> refusals;  // as request.updates
  std::vector<PushFinding> findings;
  ScanTotals totals;
  // Results of the forwarding.
  Forwarded forwarded;
  bool mirror_moved = false;  // the mirror's refs are the upstream's

  [[nodiscard]] bool is_refused() const {
    if (fault) return true;
    for (const auto& refusal : refusals)
      if (refusal) return true;
    return false;
  }
  [[nodiscard]] std::filesystem::path objects() const { return directory / "objects"; }
};

/// Ref rules, index-pack into the quarantine, connectivity, fast-forwards, the scan. Speaks to no upstream and moves
/// nothing.
void check_push(PushTask& task, Job::Worker& worker);

/// Pushes to the upstream; then, for what it took, brings the objects out of the quarantine and moves the mirror's
/// refs. A failure after the upstream's yes is not the client's: the next refresh mends the mirror.
void forward_push(PushTask& task, Job::Worker& worker);

}  // namespace bot_bottle::git_gate
