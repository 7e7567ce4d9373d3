// The record of a workspace at launch, and the agent's copy brought beside it: what `diff` and `sync` work on. Throws
// Failure.
#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

#include "core/launch/backends.hpp"
#include "core/launch/worktree.hpp"
#include "core/plan/plan.hpp"
#include "core/state/directory.hpp"
#include "core/sync/compare.hpp"

namespace bot_bottle::launch {

/// state/<slug>/workspace.base, before the backend copies: a file that changes in between is then seen as changed. A
/// fork takes over that of the bottle it came from. A tree that cannot be read is a warning: sync will say so.
void record_base(const plan::Plan& plan, const state::Directory& directory, const Home& home,
                 const std::function<void(std::string_view)>& warn);

/// The same for a bottle with a git worktree: its files are the operator's side from here on.
void record_worktree_base(const WorktreeRecord& record, const state::Directory& directory);

/// A bottle's workspace copied out into its state directory, compared with the operator's; the copy goes with this.
class WorkspaceCopy {
 public:
  WorkspaceCopy(const Backends& backends, const Home& home, const std::string& slug);
  ~WorkspaceCopy();
  WorkspaceCopy(const WorkspaceCopy&) = delete;
  WorkspaceCopy& operator=(const WorkspaceCopy&) = delete;

  [[nodiscard]] const sync::Changes& changes() const { return changes_; }
  [[nodiscard]] const std::filesystem::path& ours() const { return base_.source; }
  [[nodiscard]] std::filesystem::path theirs() const { return place_ / "tree"; }
  /// The repository that the agent's commits are fetched into.
  [[nodiscard]] std::filesystem::path our_git() const {
    return worktree_ ? worktree_->worktree.git_dir : base_.source / ".git";
  }
  /// Nothing when the workspace is the operator's own tree.
  [[nodiscard]] const std::optional<WorktreeRecord>& worktree() const { return worktree_; }
  /// Before files change: what is brought over is to be committed, also when this process dies in between.
  void note_uncommitted(const std::vector<sync::Change>& chosen);
  /// What this and killed syncs brought over, and the note's end.
  [[nodiscard]] const std::vector<std::string>& uncommitted() const { return uncommitted_; }
  void forget_uncommitted();
  [[nodiscard]] std::filesystem::path scratch() const { return place_ / "git"; }
  /// What was brought over is the base of the next comparison.
  void move_base(const std::vector<std::string>& paths);

 private:
  state::Directory directory_;
  UniqueFd lock_;
  std::filesystem::path place_;
  sync::Base base_;
  std::optional<WorktreeRecord> worktree_;
  std::vector<std::string> uncommitted_;
  sync::Changes changes_;
};

/// Whether nobody compares or syncs the bottle right now, and where a killed sync left its staging directory.
std::optional<std::filesystem::path> find_abandoned_staging(const state::Directory& directory);
void remove_abandoned_staging(const state::Directory& directory);

}  // namespace bot_bottle::launch
