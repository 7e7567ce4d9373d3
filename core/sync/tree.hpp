// What is in a directory, looked at through no link; and the record of the operator's tree as it was when a bottle got
// its copy. Throws Failure.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bot_bottle::sync {

enum class Type : std::uint8_t { file, directory, link, other };

struct Entry {
  Type type = Type::other;
  bool executable = false;  // by its owner
  std::uint64_t size = 0;
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;  // ctime: cannot be set back
  std::uint64_t inode = 0;
  std::string target;  // link
  /// Untouched since: nothing that the kernel counts has changed.
  [[nodiscard]] bool is_same_inode_state(const Entry& other) const;
};

/// Paths relative to the root, as bytes; parents come before their children.
using Tree = std::map<std::string, Entry>;

/// Of a git worktree `.git` is a link into the repository, and no file of the work: it is never compared nor brought.
enum class TopGit : std::uint8_t { as_files, left_out };

struct ScanOptions {
  TopGit top_git = TopGit::as_files;
  std::vector<std::pair<dev_t, ino_t>> skip;  // directories left out: bot-bottle's own home
};

/// Of `.git` at the top only what runs or configures (hooks, config, attributes) is listed; a `.git` below is named in
/// `nested_git` and left out: its objects come as commits, or not at all.
struct Scan {
  Tree tree;
  std::vector<std::string> nested_git;
};
/// The entry of a status that was read without following.
Entry look_at(int directory, const std::string& name, const struct stat& status);
Scan scan_tree(const std::filesystem::path& root, const ScanOptions& options = {});

/// state/<slug>/workspace.base: the operator's tree, recorded before it was copied.
struct Base {
  std::filesystem::path source;
  std::string mode;  // "copy", "mount", "none"
  Tree tree;
};
void write_base(const std::filesystem::path& file, const Base& base);
/// Nothing when it was never written.
std::optional<Base> find_base(const std::filesystem::path& file);

/// ".git", however a file system may spell it (case, HFS+'s ignored code points, NTFS's "git~1" and trailing dots).
bool is_git_name(std::string_view name);

}  // namespace bot_bottle::sync
