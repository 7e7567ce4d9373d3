#include "core/sync/git_refs.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/result.hpp"
#include "core/base/safe_path.hpp"
#include "core/base/text.hpp"
#include "core/sync/git.hpp"

namespace bot_bottle::sync {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t max_ref_bytes = 4096;
constexpr std::size_t max_packed_refs = std::size_t{16} << 20;
constexpr std::size_t max_refs = 4096;
constexpr std::size_t max_name = 200;

bool is_hex(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}
bool is_oid(std::string_view text) {
  return (text.size() == 40 || text.size() == 64) && is_hex(text);
}

/// A small file of the hostile repository; nothing when it is not a plain file.
std::optional<std::string> read_plain(int root, const std::string& path, std::size_t most) {
  auto file = open_beneath(root, path, O_RDONLY | O_NONBLOCK);
  struct stat status {};
  if (!file || ::fstat(file->get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  auto text = read_all(file->get(), most);
  return text ? std::optional(std::move(*text)) : std::nullopt;
}

using Refs = std::map<std::string, std::string>;  // branch → oid

void read_loose(int git, const std::string& path, std::size_t depth, Refs& refs) {
  if (depth > 16 || refs.size() > max_refs) return;
  auto directory = open_beneath(git, path, O_RDONLY | O_DIRECTORY);
  if (!directory) return;
  const auto names = list_directory(directory->get());
  if (!names) return;
  constexpr std::string_view heads = "refs/heads/";
  for (const std::string& name : *names) {
    const std::string child = path + "/" + name;
    struct stat status {};
    if (::fstatat(directory->get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (S_ISDIR(status.st_mode)) read_loose(git, child, depth + 1, refs);
    if (!S_ISREG(status.st_mode)) continue;
    if (const auto text = read_plain(git, child, max_ref_bytes))
      if (const std::string_view oid = trim(*text); is_oid(oid)) refs[child.substr(heads.size())] = oid;
  }
}

Refs read_refs(int git) {
  Refs refs;
  constexpr std::string_view heads = "refs/heads/";
  if (const auto packed = read_plain(git, "packed-refs", max_packed_refs)) {
    for (const std::string_view line : split(*packed, '\n')) {
      const std::size_t space = line.find(' ');
      if (space == std::string_view::npos || !is_oid(line.substr(0, space))) continue;
      const std::string_view name = line.substr(space + 1);
      if (name.starts_with(heads) && refs.size() < max_refs)
        refs[std::string(name.substr(heads.size()))] = std::string(line.substr(0, space));
    }
  }
  read_loose(git, "refs/heads", 0, refs);
  if (const auto head = read_plain(git, "HEAD", max_ref_bytes))
    if (const std::string_view oid = trim(*head); is_oid(oid)) refs["detached-head"] = oid;
  return refs;
}

/// What HEAD names among `refs`; empty when that is nothing.
std::string read_head(int git, const Refs& refs) {
  const auto head = read_plain(git, "HEAD", max_ref_bytes);
  if (!head) return {};
  std::string_view name = trim(*head);
  if (is_oid(name)) return std::string(name);
  constexpr std::string_view prefix = "ref: refs/heads/";
  if (!name.starts_with(prefix)) return {};
  const auto found = refs.find(std::string(name.substr(prefix.size())));
  return found == refs.end() ? std::string() : found->second;
}

/// Loose objects and packs into our own repository. Indexes, bitmaps, alternates and all else stay behind: an index
/// that lies could make git read what is not there.
void take_objects(const Git& git, int hostile, const fs::path& mine, const fs::path& known_packs,
                  const std::vector<std::string>& given) {
  const auto top = open_beneath(hostile, "objects", O_RDONLY | O_DIRECTORY);
  if (!top) return;
  for (const std::string& fan : or_throw<std::vector<std::string>>(list_directory(top->get()))) {
    const bool is_pack = fan == "pack";
    if (!is_pack && (fan.size() != 2 || !is_hex(fan))) continue;
    auto directory = open_beneath(top->get(), fan, O_RDONLY | O_DIRECTORY);
    if (!directory) continue;
    or_throw(make_directories(mine / "objects" / fan, 0700));
    for (const std::string& name : or_throw<std::vector<std::string>>(list_directory(directory->get()))) {
      struct stat status {};
      if (::fstatat(directory->get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode))
        continue;
      const bool wanted = is_pack ? name.starts_with("pack-") && name.ends_with(".pack") && name.size() <= 74 &&
                                        is_hex(std::string_view(name).substr(5, name.size() - 10))
                                  : is_oid(fan + name);
      struct stat there {};
      // What the operator has already needs no second look; a pack that only bears its name lacks objects, and fails.
      if (!wanted || (is_pack && (::stat((known_packs / name).c_str(), &there) == 0 ||
                                  std::ranges::find(given, name) != given.end())))
        continue;
      const fs::path target = mine / "objects" / fan / name;
      if (::renameat(directory->get(), name.c_str(), AT_FDCWD, target.c_str()) != 0)
        throw Failure(error_from_errno("cannot take the object " + name, errno));
      if (is_pack) git.call({git_dir_option(mine), "index-pack", "--strict", target.string()});
    }
  }
}

}  // namespace

bool is_plain_ref_name(std::string_view name) {
  if (name.empty() || name.size() > max_name || name.ends_with(".lock") || name.find("..") != std::string_view::npos)
    return false;
  for (const std::string_view part : split(name, '/')) {
    if (part.empty() || part.front() == '.' || part.front() == '-' || part.back() == '.' || part.ends_with(".lock"))
      return false;
    if (!std::ranges::all_of(part, [](char c) {
          return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                 c == '-';
        }))
      return false;
  }
  return true;
}

Fetched fetch_commits(const fs::path& our_git, const fs::path& theirs, const fs::path& scratch, const std::string& slug,
                      const std::vector<std::string>& given) {
  Fetched fetched;
  const UniqueFd root(::open(theirs.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const auto hostile = open_beneath(root.get(), ".git", O_RDONLY | O_DIRECTORY);
  std::error_code code;
  if (!hostile || !fs::is_directory(our_git, code)) {
    fetched.unavailable = hostile ? "the agent made a repository and you have none" : "there is no repository";
    return fetched;
  }
  const auto program = Git::find();
  if (!program) {
    fetched.unavailable = "git is not installed";
    return fetched;
  }
  const Git& git = *program;
  const std::string ours = git_dir_option(our_git);
  Refs have;
  const std::string listing =
      git.run({ours, "for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads"});
  for (const std::string_view line : split(std::string_view(listing), '\n'))
    if (const std::size_t space = line.find(' '); space != std::string_view::npos)
      have[std::string(line.substr(space + 1))] = std::string(line.substr(0, space));

  std::string packed;
  std::vector<std::string> refspecs;
  std::size_t oid_size = 40;
  const Refs theirs_refs = read_refs(hostile->get());
  fetched.head = read_head(hostile->get(), theirs_refs);
  for (const auto& [name, oid] : theirs_refs) {
    if (!is_plain_ref_name(name)) {
      fetched.skipped.push_back(name);
      continue;
    }
    if (const auto known = have.find(name); known != have.end() && known->second == oid) continue;
    oid_size = oid.size();
    packed += oid + " refs/heads/" + name + "\n";
    refspecs.push_back("+refs/heads/" + name + ":refs/bot-bottle/" + slug + "/" + name);
    fetched.refs.push_back({"refs/bot-bottle/" + slug + "/" + name, oid});
  }
  if (refspecs.empty()) return fetched;

  or_throw(remove_tree(scratch));
  git.call({"init", "--quiet", "--bare",
            "--template=", "--object-format=" + std::string(oid_size == 64 ? "sha256" : "sha1"), scratch.string()});
  or_throw(make_directories(scratch / "objects" / "info", 0700));
  or_throw(write_file_fast(scratch / "objects" / "info" / "alternates", (our_git / "objects").string() + "\n"));
  take_objects(git, hostile->get(), scratch, our_git / "objects" / "pack", given);
  or_throw(write_file_fast(scratch / "packed-refs", "# pack-refs with: sorted\n" + packed));
  std::vector<std::string> arguments{
      ours, "fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", scratch.string()};
  arguments.insert(arguments.end(), refspecs.begin(), refspecs.end());
  git.call(arguments);
  return fetched;
}

}  // namespace bot_bottle::sync
