// Finding the repository, making and removing the worktree, and what it holds.
#include "core/sync/worktree.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "core/sync/git.hpp"
#include "core/sync/repository_ties.hpp"
#include "core/sync/worktree_files.hpp"

namespace bot_bottle::sync {
namespace {

namespace fs = std::filesystem;

Failure unusable(std::string message, std::string hint) {
  return Failure(make_error(ErrorKind::failed_precondition, std::move(message), std::move(hint)));
}

std::size_t count_entries(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count(text, '\0'));
}

std::size_t number_of(std::string_view text) {
  std::size_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::string ref_of(const Worktree& worktree) {
  return "refs/heads/" + worktree.branch;
}

}  // namespace

Repository find_repository(const fs::path& directory) {
  const Git finder = Git::need();
  const GitInput here{.cwd = directory.string(), .env = {}, .text = {}};
  const std::string start_plain = "start without --worktree, or with --cwd DIR";
  const ProcessResult found = finder.attempt(
      {"rev-parse", "--path-format=absolute", "--git-common-dir", "--is-bare-repository", "--git-dir"}, here);
  if (found.code != 0) {
    const std::string said(trim(found.err));
    // Somebody else's repository: git's own words say what next.
    if (said.find("dubious ownership") != std::string::npos)
      throw unusable("git does not trust the repository of " + directory.string() + ": " + said, start_plain);
    throw unusable(directory.string() + " is in no git repository", "git init and a commit; or " + start_plain);
  }
  const auto lines = split(std::string_view(found.out), '\n');
  Repository repository;
  repository.git_dir = std::string(trim(lines.at(0)));
  repository.is_bare = lines.size() > 1 && trim(lines[1]) == "true";
  repository.top = repository.git_dir;
  const Git git = Git::need(repository.git_dir);
  if (!repository.is_bare) {
    const auto top = git.ask({"rev-parse", "--path-format=absolute", "--show-toplevel"}, here);
    if (!top || top->empty())
      throw unusable(directory.string() + " is inside of a .git directory", "cd to the working tree");
    repository.top = *top;
  }
  need_own_repository(directory, {.git_dir = std::string(trim(lines.at(2))),
                                  .common = repository.git_dir,
                                  .top = repository.top,
                                  .is_bare = repository.is_bare});
  const auto head = git.ask({"rev-parse", "--verify", "--quiet", "HEAD^{commit}"}, here);
  if (!head || head->empty())
    throw unusable("the repository " + repository.top.string() + " has no commit yet",
                   "git commit, so that there is something to begin at; or " + start_plain);
  repository.head = *head;
  repository.branch = git.ask({"symbolic-ref", "--quiet", "--short", "HEAD"}, here).value_or("");
  if (git.ask({"config", "--get", "extensions.partialClone"}, here))
    throw unusable(
        "the repository " + repository.top.string() + " is a partial clone: some of its objects are elsewhere",
        "git fetch --refetch --no-filter completes it; or " + start_plain);
  repository.is_shallow = git.ask({"rev-parse", "--is-shallow-repository"}, here) == "true";
  repository.has_submodules = git.ask({"cat-file", "-e", repository.head + ":.gitmodules"}, here).has_value();
  if (!repository.is_bare)
    repository.uncommitted = count_entries(git.run(
        {"status", "--porcelain", "-z", "--untracked-files=no", "--no-renames", "--ignore-submodules=all"}, here));
  return repository;
}

std::optional<std::string> find_branch_obstacle(const Worktree& worktree) {
  const Git git = Git::need(worktree.git_dir);
  const std::string ours = git_dir_option(worktree.git_dir);
  if (git.ask({ours, "rev-parse", "--verify", "--quiet", ref_of(worktree)}))
    return "the branch " + worktree.branch + " exists";
  // "agent" or "agent/x/y" stand in the way of "agent/x": a name is a file or a directory.
  const std::string parent = worktree.branch.substr(0, worktree.branch.rfind('/'));
  if (git.ask({ours, "rev-parse", "--verify", "--quiet", "refs/heads/" + parent}))
    return "the branch " + parent + " stands where " + worktree.branch + " would be";
  if (const auto below =
          git.ask({ours, "for-each-ref", "--count=1", "--format=%(refname:lstrip=2)", ref_of(worktree) + "/"});
      below && !below->empty())
    return "the branch " + *below + " stands below " + worktree.branch;
  std::error_code code;
  if (fs::exists(fs::symlink_status(worktree.path, code))) return worktree.path.string() + " exists";
  return std::nullopt;
}

void add_worktree(const Worktree& worktree) {
  const Git git = Git::need(worktree.git_dir);
  or_throw(make_directories(worktree.path.parent_path(), 0700));
  git.call({git_dir_option(worktree.git_dir), "worktree", "add", "--quiet", "--no-track", "-b", worktree.branch,
            worktree.path.string(), worktree.base});
}

fs::path find_admin(const Worktree& worktree) {
  std::error_code code;
  // git resolves links in what it writes down.
  const fs::path parent = fs::weakly_canonical(worktree.path.parent_path(), code);
  const std::string wanted = (parent / worktree.path.filename() / ".git").string();
  for (fs::directory_iterator it(worktree.git_dir / "worktrees", code), end; !code && it != end; it.increment(code)) {
    const auto text = read_file(it->path() / "gitdir", 4096);
    if (text && (trim(*text) == wanted || trim(*text) == (worktree.path / ".git").string())) return it->path();
  }
  return {};
}

WorktreeState look_at_worktree(const Worktree& worktree) {
  WorktreeState state;
  std::error_code code;
  const bool has_directory = fs::is_directory(worktree.path, code) && !fs::is_empty(worktree.path, code);
  if (!fs::is_directory(worktree.git_dir, code)) {  // the repository is gone, and its branch with it
    state.is_unknown = has_directory;
    return state;
  }
  const Git git = Git::need(worktree.git_dir);
  const std::string ours = git_dir_option(worktree.git_dir);
  if (auto tip = git.ask({ours, "rev-parse", "--verify", "--quiet", ref_of(worktree) + "^{commit}"})) {
    state.has_branch = true;
    state.tip = std::move(*tip);
    if (auto count = git.ask({ours, "rev-list", "--count", worktree.base + ".." + state.tip}))
      state.commits = number_of(*count);
    else
      state.commits = state.tip == worktree.base ? 0 : 1;  // the base is gone: whatever there is counts
    if (const auto holders =
            git.ask({ours, "for-each-ref", "--format=%(refname)", "--contains", state.tip, "refs/heads"}))
      for (const std::string_view holder : split(std::string_view(*holders), '\n'))
        state.is_merged = state.is_merged || (!holder.empty() && holder != ref_of(worktree));
  }
  const fs::path admin = find_admin(worktree);
  state.is_unknown = admin.empty() && has_directory;
  if (admin.empty() || !fs::is_directory(worktree.path, code)) return state;
  state.has_files = true;
  // --untracked-files: status.showUntrackedFiles=no of the operator's would hide what is lost with the directory.
  state.uncommitted =
      count_entries(git.run({git_dir_option(admin), "--work-tree=" + worktree.path.string(), "status", "--porcelain",
                             "-z", "--untracked-files=normal", "--no-renames", "--ignore-submodules=all"},
                            {.cwd = worktree.path.string(), .env = {}, .text = {}}));
  const std::string theirs = git_dir_option(admin);
  if (git.ask({theirs, "symbolic-ref", "--quiet", "HEAD"})) return state;
  if (const auto head = git.ask({theirs, "rev-parse", "--verify", "--quiet", "HEAD^{commit}"}))
    if (const auto holder = git.ask({theirs, "for-each-ref", "--count=1", "--format=%(refname)", "--contains", *head,
                                     "refs/heads", "refs/tags", "refs/remotes"}))
      state.has_loose_commits = holder->empty();
  return state;
}

void remove_worktree(const Worktree& worktree, const std::string& slug, RemoveBranch branch) {
  const fs::path admin = find_admin(worktree);
  or_throw(remove_tree(worktree.path));
  if (!admin.empty()) or_throw(remove_tree(admin));
  std::error_code code;
  if (branch == RemoveBranch::no || !fs::is_directory(worktree.git_dir, code)) return;
  const Git git = Git::need(worktree.git_dir);
  const std::string ours = git_dir_option(worktree.git_dir);
  std::string refs =
      git.run({ours, "for-each-ref", "--format=delete %(refname)%00%(objectname)", "refs/bot-bottle/" + slug + "/"});
  std::string orders;
  for (const std::string_view line : split(std::string_view(refs), '\n'))
    if (!line.empty()) orders += std::string(line) + '\0';
  if (const auto tip = git.ask({ours, "rev-parse", "--verify", "--quiet", ref_of(worktree)}))
    orders += "delete " + ref_of(worktree) + '\0' + *tip + '\0';
  if (!orders.empty()) git.call({ours, "update-ref", "-z", "--stdin"}, {.cwd = "/", .env = {}, .text = orders});
}

std::vector<std::string> log_of(const Worktree& worktree, std::size_t most) {
  const Git git = Git::need(worktree.git_dir);
  const std::string text = git.run({git_dir_option(worktree.git_dir), "log", "-z", "--no-color", "--no-decorate",
                                    "--no-show-signature", "--no-notes", "--no-mailmap", "--format=%h %s",
                                    "--max-count=" + std::to_string(most), worktree.base + ".." + ref_of(worktree)});
  std::vector<std::string> lines;
  for (const std::string_view line : split(std::string_view(text), '\0'))
    if (!line.empty()) lines.emplace_back(line);
  return lines;
}

std::string diff_of_branch(const Worktree& worktree, DiffForm form) {
  const Git git = Git::need(worktree.git_dir);
  std::vector<std::string> arguments{git_dir_option(worktree.git_dir),
                                     "diff-tree",
                                     "-r",
                                     "--no-color",
                                     "--no-ext-diff",
                                     "--no-textconv",
                                     "--no-renames"};
  arguments.emplace_back(form == DiffForm::patch ? "-p" : "--name-status");
  arguments.push_back(worktree.base);
  arguments.push_back(ref_of(worktree));
  return git.run(arguments);
}

}  // namespace bot_bottle::sync
