// What the files of a worktree share inside this room.
#pragma once

#include <filesystem>

#include "core/sync/worktree.hpp"

namespace bot_bottle::sync {

/// git's own directory of the worktree (".git/worktrees/<name>"), found from the repository's side: the `.git` file in
/// the worktree is not read. Empty: git does not know it.
std::filesystem::path find_admin(const Worktree& worktree);

}  // namespace bot_bottle::sync
