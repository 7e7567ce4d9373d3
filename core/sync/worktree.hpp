// A git worktree and a branch for one bottle: made, filled with what came out of the bottle, merged, removed. All paths
// and names are ours; hostile input: what the agent's commits and files hold (already fetched and gated by the caller).
// Nothing that a repository names is run (git.hpp). Throws Failure.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bot_bottle::sync {

/// The repository that a directory is in, as `git` finds it there.
struct Repository {
  std::filesystem::path git_dir;  // the common one of all its worktrees
  std::filesystem::path top;      // the working tree; of a bare repository the repository itself
  std::string head;               // the commit
  std::string branch;             // empty: detached
  bool is_bare = false;
  bool is_shallow = false;
  bool has_submodules = false;
  std::size_t uncommitted = 0;  // tracked files that differ from the commit
};
/// failed_precondition, with what next, where there is none, where it has no commit, where its objects are elsewhere,
/// or where `directory` leads to a repository that is not its own (repository_ties.hpp).
Repository find_repository(const std::filesystem::path& directory);

struct Worktree {
  std::filesystem::path git_dir;  // the repository's
  std::filesystem::path path;
  std::string branch;  // "agent/<slug>"
  std::string base;    // the commit it began at
};

/// Why the branch cannot be made; nothing: it can.
std::optional<std::string> find_branch_obstacle(const Worktree& worktree);
/// Branch, worktree and files. What a killed one leaves is removed by remove_worktree.
void add_worktree(const Worktree& worktree);
/// The agent's own repository: a clone of that branch alone, with the files' times as in the worktree, and the
/// repository's remotes without credentials. Gives the names of its packs.
std::vector<std::string> make_seed(const Worktree& worktree, const std::filesystem::path& seed);

struct WorktreeState {
  bool has_files = false;  // the directory is there
  bool has_branch = false;
  std::string tip;
  std::size_t commits = 0;  // on the branch since the base
  std::size_t uncommitted = 0;
  bool is_merged = false;  // another branch has all of its commits
  /// Files are there and git cannot say what they hold: the repository was moved or is not mounted, or its record of
  /// them is gone.
  bool is_unknown = false;
  bool has_loose_commits = false;  // checked out in the directory (detached), and on no branch or tag
  /// Something that only this branch or directory has.
  [[nodiscard]] bool holds_work() const {
    return uncommitted > 0 || is_unknown || has_loose_commits || (commits > 0 && !is_merged);
  }
};
WorktreeState look_at_worktree(const Worktree& worktree);
/// Directory, git's record of it, and (with `branch`) the branch and the refs of `slug`. Whatever is missing is no
/// fault.
enum class RemoveBranch : unsigned char { no, yes };
void remove_worktree(const Worktree& worktree, const std::string& slug, RemoveBranch branch);

/// The commits since the base, newest first, as "<short id> <subject>"; hostile text.
std::vector<std::string> log_of(const Worktree& worktree, std::size_t most);
/// The change since the base as a patch, or (`patch` false) one line a file; hostile text.
enum class DiffForm : unsigned char { names, patch };
std::string diff_of_branch(const Worktree& worktree, DiffForm form);

struct Bring {
  std::vector<std::string> paths;                         // what was put into the worktree's files
  std::string head;                                       // the agent's commit, fetched; may be empty
  std::function<bool(const std::string&)> may_run_alone;  // --allow-autorun
  std::string author;                                     // a name; hostile: cleaned here
  std::string slug;
  std::filesystem::path scratch;  // an empty or absent directory
};
struct Brought {
  std::string before;
  std::string after;
  std::size_t commits = 0;
  bool is_history = false;                                // the agent's own commits are in the branch
  std::string why_not;                                    // why they are not; hostile
  std::vector<std::pair<std::string, std::string>> left;  // path, why it was not committed
};
/// Puts those files on the branch. The agent's own commits go in as they are when each file that any of them touches
/// passes the gate and their end is what was brought; otherwise one commit says it all. The branch moves by compare and
/// swap.
Brought commit_to_branch(const Worktree& worktree, const Bring& bring);

struct Merged {
  std::string into;
  std::string before;
  std::string after;
  std::vector<std::string> conflicts;  // nothing was changed then
};
/// Into the branch that is checked out in `top`.
Merged merge_branch(const Worktree& worktree, const std::filesystem::path& top);

}  // namespace bot_bottle::sync
