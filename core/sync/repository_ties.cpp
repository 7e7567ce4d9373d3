#include "core/sync/repository_ties.hpp"

#include <string>
#include <system_error>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "core/sync/git.hpp"

namespace bot_bottle::sync {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t max_path_bytes = 4096 + 1;  // PATH_MAX and a newline

fs::path real(const fs::path& path) {
  std::error_code code;
  const fs::path found = fs::weakly_canonical(path, code);
  return code ? fs::path() : found;
}

/// The same place, both of which exist.
bool is_same(const fs::path& one, const fs::path& other) {
  std::error_code code;
  return fs::equivalent(one, other, code) && !code;
}

bool is_inside(const fs::path& path, const fs::path& directory) {
  const fs::path relative = real(path).lexically_relative(real(directory));
  return !relative.empty() && *relative.begin() != "..";
}

/// worktrees/<id> of the repository, which says where its working tree is; only who may write there can say so.
bool is_known_worktree(const FoundRepository& found, const fs::path& entry) {
  if (!is_same(found.git_dir.parent_path(), found.common / "worktrees")) return false;
  const auto text = read_file(found.git_dir / "gitdir", max_path_bytes);
  return text && is_same(found.git_dir / std::string(trim(*text)), entry);
}

bool is_known_by_configuration(const FoundRepository& found) {
  if (!is_same(found.git_dir, found.common)) return false;
  const auto place = Git::need().ask(
      {git_dir_option(found.common), "config", "--file", (found.common / "config").string(), "--get", "core.worktree"});
  return place && is_same(found.common / *place, found.top);
}

bool leads_out(const fs::path& path, const fs::path& repository) {
  std::error_code code;
  return fs::is_symlink(fs::symlink_status(path, code)) && !is_inside(path, repository);
}

bool has_link_out(const FoundRepository& found) {
  const fs::path& common = found.common;
  for (const fs::path& path : {found.git_dir / "HEAD", found.git_dir / "refs", common / "HEAD", common / "packed-refs",
                               common / "refs", common / "objects", common / "objects/pack"})
    if (leads_out(path, common)) return true;
  for (const fs::path& refs : {common / "refs", found.git_dir / "refs"}) {
    std::error_code code;
    for (fs::recursive_directory_iterator at(refs, code), end; !code && at != end; at.increment(code))
      if (leads_out(at->path(), common)) return true;
  }
  return false;
}

}  // namespace

void need_own_repository(const fs::path& directory, const FoundRepository& found) {
  const auto refuse = [&directory](const std::string& why) {
    throw Failure(make_error(ErrorKind::failed_precondition,
                             "the git repository of " + directory.string() + " may be another's: " + why,
                             "cd to the working tree of the repository that you mean; or start without --worktree, or "
                             "with --cwd DIR"));
  };
  const fs::path entry = found.top / ".git";
  std::error_code code;
  const fs::file_status status = fs::symlink_status(entry, code);
  if (!is_inside(directory, found.top)) refuse("git finds it in " + found.top.string());
  if (fs::is_directory(status)) {
    if (!is_same(found.git_dir, entry) || !is_same(found.common, entry))
      refuse(entry.string() + " leads to " + found.common.string());
  } else if (!found.is_bare && (!fs::is_regular_file(status) ||
                                (!is_known_worktree(found, entry) && !is_known_by_configuration(found)))) {
    refuse(entry.string() + " leads to " + found.common.string() + ", which does not know of it");
  }
  if (has_link_out(found)) refuse(found.common.string() + " has links that lead out of it");
}

}  // namespace bot_bottle::sync
