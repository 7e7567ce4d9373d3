// Ending bottles from another process, and removing what dead ones left. Called by `stop` and `cleanup`. Throws
// Failure.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.hpp"
#include "core/launch/backends.hpp"
#include "core/launch/deploy_keys.hpp"
#include "core/launch/worktree.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::launch {

enum class AfterStop : std::uint8_t { preserve, remove };
/// Saves the transcript (unless all is to be removed), stops the bottle and preserves or removes its state. A bottle
/// whose launching process still lives is only stopped: that process does the rest (and is waited for when all is to be
/// removed). Nothing that the agent can hold up keeps it from being stopped: a transcript is waited for a minute, a
/// commit or fork under way five.
void stop_bottle(const Backends& backends, const Home& home, const std::string& slug, AfterStop after,
                 const std::function<void(std::string_view)>& warn);

enum class Preserved : std::uint8_t { kept, removed };

struct CleanupPlan {
  struct State {
    std::string slug;
    std::string backend;
    std::string why;
  };
  struct Orphans {
    std::string backend;
    json::object document;  // bot-bottle.orphans/1
  };
  struct Snapshots {
    std::string slug;
    std::vector<std::string> names;
  };
  std::vector<State> states;
  std::vector<Snapshots> snapshots;                           // half of one, or one that a newer one replaced
  std::vector<std::pair<std::string, std::string>> stagings;  // slug, directory in the operator's tree: a killed sync's
  std::vector<WorktreeRecord> worktrees;                      // of bottles that are gone; nothing is lost with them
  std::vector<DeployKeyRecord> keys;                          // of bottles that do not run
  std::vector<Orphans> orphans;
  std::vector<std::pair<std::string, Error>>
      unreadable;                                     // slugs whose state says nothing that we understand: they stay
  std::vector<std::pair<std::string, Error>> failed;  // backends that could not be asked
  [[nodiscard]] bool is_empty() const {
    return states.empty() && snapshots.empty() && stagings.empty() && worktrees.empty() && keys.empty() &&
           orphans.empty();
  }
};

/// Looks and changes nothing. A bottle that runs, is being launched or (unless `removed`) is preserved is not in it.
CleanupPlan plan_cleanup(const Backends& backends, const Home& home, Preserved preserved);
/// One line for each thing; texts of backends may be hostile.
std::vector<std::string> describe(const CleanupPlan& plan);
/// Removes what is in the plan and is still nobody's. Gives what could not be removed.
std::vector<std::pair<std::string, Error>> run_cleanup(const Backends& backends, const Home& home,
                                                       const CleanupPlan& plan, Preserved preserved,
                                                       const DeployKeyPlugins& deploy_keys = {});

}  // namespace bot_bottle::launch
