// The repository that goes into the bottle with the files.
#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "core/sync/git.hpp"
#include "core/sync/tree.hpp"
#include "core/sync/worktree.hpp"

namespace bot_bottle::sync {
namespace {

namespace fs = std::filesystem;

/// "https://user:token@example.com/x" → "https://example.com/x"; who an SSH remote is asked as is part of its address.
std::string without_credentials(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return std::string(url);
  const std::size_t begin = scheme + 3;
  const std::size_t slash = std::min(url.find('/', begin), url.size());
  const std::size_t at = url.substr(begin, slash - begin).rfind('@');
  if (at == std::string_view::npos) return std::string(url);
  std::string_view user = url.substr(begin, at);
  user = url.starts_with("ssh://") ? user.substr(0, user.find(':')) : std::string_view();
  return std::string(url.substr(0, begin)) + (user.empty() ? "" : std::string(user) + "@") +
         std::string(url.substr(begin + at + 1));
}

/// The same moment in both: a file that neither side touched is then known for one (compare.cpp, is_as_given).
void take_times(const fs::path& from, const fs::path& to) {
  for (const auto& [path, entry] : scan_tree(from, {.top_git = TopGit::left_out, .skip = {}}).tree) {
    if (entry.type != Type::file && entry.type != Type::link) continue;
    struct stat status {};
    if (::lstat((from / path).c_str(), &status) != 0) continue;
#ifdef __APPLE__
    const std::array<timespec, 2> times{status.st_mtimespec, status.st_mtimespec};
#else
    const std::array<timespec, 2> times{status.st_mtim, status.st_mtim};
#endif
    if (::utimensat(AT_FDCWD, (to / path).c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT)
      throw Failure(error_from_errno("cannot set the time of " + path, errno));
  }
}

}  // namespace

std::vector<std::string> make_seed(const Worktree& worktree, const fs::path& seed) {
  const Git git = Git::need(worktree.git_dir);
  or_throw(remove_tree(seed));
  // --no-local: only what the branch reaches is packed. Objects of other branches, stashes and what was thrown away are
  // not the agent's (worktree_test.py: the_agent_gets_its_branch_and_nothing_else).
  git.call({"clone", "--quiet", "--no-local", "--no-tags", "--single-branch", "--template=", "--branch",
            worktree.branch, worktree.git_dir.string(), seed.string()});
  const fs::path own = seed / ".git";
  const std::string ours = git_dir_option(own);
  git.call({ours, "remote", "remove", "origin"});
  const std::string remotes =
      git.attempt({git_dir_option(worktree.git_dir), "config", "--null", "--get-regexp", "^remote\\..*\\.url$"}).out;
  for (const std::string_view entry : split(std::string_view(remotes), '\0')) {
    const std::size_t line = entry.find('\n');
    constexpr std::size_t head = sizeof "remote." - 1;
    constexpr std::size_t tail = sizeof ".url" - 1;
    if (line == std::string_view::npos || line <= head + tail) continue;
    const std::string name(entry.substr(head, line - head - tail));
    static_cast<void>(git.attempt({ours, "remote", "add", name, without_credentials(entry.substr(line + 1))}));
  }
  or_throw(remove_tree(own / "logs"));  // whose it is, and where it stands on the host
  take_times(worktree.path, seed);
  std::vector<std::string> packs;
  std::error_code code;
  for (fs::directory_iterator it(own / "objects" / "pack", code), end; !code && it != end; it.increment(code))
    if (it->path().extension() == ".pack") packs.push_back(it->path().filename().string());
  return packs;
}

}  // namespace bot_bottle::sync
