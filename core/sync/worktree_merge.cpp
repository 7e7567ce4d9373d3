// The branch of a bottle into the operator's own.
#include <set>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/sync/git.hpp"
#include "core/sync/worktree.hpp"

namespace bot_bottle::sync {
namespace {

Failure refused(std::string message, std::string hint) {
  return Failure(make_error(ErrorKind::failed_precondition, std::move(message), std::move(hint)));
}

/// Filters are off (git.hpp): files that need one would land unfiltered. git itself can do it then.
void need_no_filters(const Git& git, const Worktree& worktree, const std::string& tip, const std::string& by_hand) {
  const std::string listed = git.run({git_dir_option(worktree.git_dir), "ls-tree", "-r", "-z", "--name-only", tip});
  for (const std::string_view path : split(std::string_view(listed), '\0')) {
    if (path != ".gitattributes" && !path.ends_with("/.gitattributes")) continue;
    const std::string text =
        git.run({git_dir_option(worktree.git_dir), "cat-file", "blob", tip + ":" + std::string(path)});
    if (text.find("filter=") != std::string::npos)
      throw refused("the repository has files with filters (" + std::string(path) + "), which are not run here",
                    by_hand);
  }
}

}  // namespace

Merged merge_branch(const Worktree& worktree, const std::filesystem::path& top) {
  const Git git = Git::need(worktree.git_dir);
  const GitInput here{.cwd = top.string(), .env = {}, .text = {}};
  const std::string by_hand = "git -C " + top.string() + " merge " + worktree.branch;
  if (git.ask({"rev-parse", "--is-inside-work-tree"}, here) != "true")
    throw refused(top.string() + " has no working tree to merge into",
                  "git merge " + worktree.branch + ", in a worktree of yours");
  Merged merged;
  merged.into = git.ask({"symbolic-ref", "--quiet", "--short", "HEAD"}, here).value_or("");
  if (merged.into.empty())
    throw refused(top.string() + " is at no branch (detached HEAD)", "git switch BRANCH; then again");
  merged.before = std::string(trim(git.run({"rev-parse", "HEAD"}, here)));
  const std::string ref = "refs/heads/" + worktree.branch;
  const std::string tip =
      std::string(trim(git.run({git_dir_option(worktree.git_dir), "rev-parse", "--verify", ref + "^{commit}"})));
  need_no_filters(git, worktree, tip, by_hand);
  // In no working tree: a conflict then changes nothing.
  const ProcessResult tried =
      git.attempt({"merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", merged.before, tip}, here);
  if (tried.code > 1)
    throw refused("git merge-tree: " + std::string(trim(tried.err)), by_hand + " (git 2.38 can tell conflicts before)");
  if (tried.code == 1) {
    const auto names = split(std::string_view(tried.out), '\0');
    std::set<std::string> conflicts;
    for (std::size_t i = 1; i < names.size(); ++i)
      if (!names[i].empty()) conflicts.emplace(names[i]);
    merged.conflicts.assign(conflicts.begin(), conflicts.end());
    return merged;
  }
  if (!git.ask({"var", "GIT_COMMITTER_IDENT"}, here))
    throw refused("git has no name for who merges", "git config --global user.name NAME; … user.email ADDRESS");
  // --commit, --no-squash: branch.<name>.mergeOptions may say otherwise, and then nothing would be merged.
  git.call({"merge", "--quiet", "--no-edit", "--no-verify", "--no-gpg-sign", "--no-stat", "--commit", "--no-squash",
            "-m", "Merge branch '" + worktree.branch + "'", ref},
           here);
  merged.after = std::string(trim(git.run({"rev-parse", "HEAD"}, here)));
  return merged;
}

}  // namespace bot_bottle::sync
