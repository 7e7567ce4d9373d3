// The git worktrees of bottles: a record in the operator's home for each, written before anything is made and removed
// after it is gone, so that no crash forgets one. Called by the session, sync, cleanup and the verb `worktree`. Throws
// Failure. Hostile input: none here; what the agent made comes in through core/sync.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/base/paths.hpp"
#include "core/sync/worktree.hpp"

namespace bot_bottle::launch {

struct WorktreeRecord {
  std::string slug;
  std::filesystem::path repository;  // its working tree, or the bare repository: where the bottle was started for
  std::string onto;                  // the branch that was checked out there; empty: none
  sync::Worktree worktree;
  std::vector<std::string> packs;  // of the agent's first clone
  std::int64_t made_at_ms = 0;
};

/// What a start in `directory` would make; looks and makes nothing. Throws with what next where it cannot be. `base`:
/// another commit than the one that is checked out (a fork begins where its bottle did).
struct WorktreePlan {
  WorktreeRecord record;
  std::vector<std::string> warnings;
};
WorktreePlan plan_worktree(const Home& home, const std::filesystem::path& directory, const std::string& slug,
                           const std::string& base = {});

/// Record, branch and directory; and, with `seed`, the repository that is copied into the bottle: its directory.
enum class Seed : std::uint8_t { no, yes };
std::filesystem::path make_worktree(const Home& home, WorktreeRecord& record, Seed seed);
void remove_seed(const Home& home, const std::string& slug);

std::optional<WorktreeRecord> find_worktree(const Home& home, const std::string& slug);
/// By slug; a record that cannot be read is left out.
std::vector<WorktreeRecord> list_worktrees(const Home& home);

/// Directory, branch, refs and record: whatever it holds is lost.
void remove_worktree(const Home& home, const WorktreeRecord& record);
/// The same, but only when nothing is lost by it. False: it holds work, and stays.
bool remove_unused_worktree(const Home& home, const std::string& slug);

}  // namespace bot_bottle::launch
