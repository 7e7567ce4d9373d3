// Whether a directory and the repository that git finds for it belong together. Git follows any ".git" file, link and
// commondir: in a directory that somebody else made (an unpacked archive), that could be another repository of the
// operator's, whose history a worktree would then hand to the agent. Used by this room only. Hostile input: the
// directory and all below it.
#pragma once

#include <filesystem>

namespace bot_bottle::sync {

/// As git names them for one directory, absolute.
struct FoundRepository {
  std::filesystem::path git_dir;  // of this working tree
  std::filesystem::path common;   // of all its worktrees; the same where there are none
  std::filesystem::path top;      // of a bare repository: `common`
  bool is_bare = false;
};

/// Throws failed_precondition, with what next, unless `directory` is inside of `top` and the repository is either the
/// real directory `top`/.git or names `top` itself: as a worktree (gitrepository-layout(5), worktrees/<id>/gitdir) or
/// by core.worktree, as git sets it for submodules. Its HEAD, refs and objects may not be links that lead out of it.
/// Objects that it borrows (objects/info/alternates) are: a commit of them must be known by its hash.
void need_own_repository(const std::filesystem::path& directory, const FoundRepository& found);

}  // namespace bot_bottle::sync
