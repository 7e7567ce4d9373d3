#include "core/sync/compare.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/safe_path.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/unique_fd.hpp"
#include "core/sync/autorun.hpp"
#include "core/sync/text_diff.hpp"

namespace bot_bottle::sync {
namespace {

constexpr std::size_t max_shown_bytes = std::size_t{4} << 20;

UniqueFd open_root(const std::filesystem::path& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) throw Failure(error_from_errno("cannot read " + path.string(), errno));
  return fd;
}

UniqueFd open_file(int root, const std::string& path) {
  return or_throw<UniqueFd>(open_beneath(root, path, O_RDONLY | O_NONBLOCK).map_error(in("reading " + path)));
}

bool has_same_content(int ours, int theirs, const std::string& path) {
  const UniqueFd a = open_file(ours, path);
  const UniqueFd b = open_file(theirs, path);
  constexpr std::size_t block = 256 * 1024;
  thread_local std::vector<char> left(block);
  thread_local std::vector<char> right(block);
  off_t at = 0;
  while (true) {
    const ssize_t got = ::pread(a.get(), left.data(), block, at);
    const ssize_t other = ::pread(b.get(), right.data(), block, at);
    if (got < 0 || other < 0) throw Failure(error_from_errno("reading " + path, errno));
    if (got != other || !std::equal(left.begin(), left.begin() + got, right.begin())) return false;
    if (got == 0) return true;
    at += got;
  }
}

std::size_t depth_of(const std::string& path) {
  return static_cast<std::size_t>(std::ranges::count(path, '/'));
}

/// copy_out leaves these behind: that they are not in the copy says nothing.
bool is_never_carried(const std::string& path, const Entry& entry) {
  return entry.type == Type::other || (entry.type == Type::link && !link_stays_inside(entry.target, depth_of(path)));
}

class Comparer {
 public:
  Comparer(const Base& base, const Tree& ours, const Tree& theirs, int ours_root, int theirs_root)
      : base_(base.tree), ours_(ours), theirs_(theirs), ours_root_(ours_root), theirs_root_(theirs_root) {
    // A bare repository in the tree is entered by git like any other (attack G1). With `commondir`
    // (gitrepository-layout(5)) objects, refs and the configuration that runs programs lie somewhere else.
    const auto has = [&](const std::string& path) { return ours.contains(path) || theirs.contains(path); };
    for (const Tree* tree : {&ours, &theirs})
      for (const auto& [path, entry] : *tree) {
        if (path != "HEAD" && !path.ends_with("/HEAD")) continue;
        const std::string prefix = path.substr(0, path.size() - (sizeof "HEAD" - 1));
        if (has(prefix + "commondir") || (has(prefix + "objects") && has(prefix + "refs"))) bare_.insert(prefix);
      }
  }

  std::vector<Change> run() {
    std::set<std::string> paths;
    for (const Tree* tree : {&ours_, &theirs_})
      for (const auto& [path, entry] : *tree) paths.insert(path);
    std::vector<Change> changes;
    for (const std::string& path : paths)
      if (auto change = compare_one(path)) changes.push_back(std::move(*change));
    return changes;
  }

 private:
  static const Entry* find(const Tree& tree, const std::string& path) {
    const auto found = tree.find(path);
    return found == tree.end() ? nullptr : &found->second;
  }

  bool is_equal(const std::string& path, const Entry& ours, const Entry& theirs) const {
    if (ours.type != theirs.type) return false;
    if (ours.type == Type::link) return ours.target == theirs.target;
    if (ours.type != Type::file) return true;
    return ours.size == theirs.size && has_same_content(ours_root_, theirs_root_, path);
  }

  /// As it was given to the agent. Times can be set back from inside: then a change is not seen, and not brought.
  static bool is_as_given(const Entry& base, const Entry& theirs) {
    if (base.type != theirs.type || base.executable != theirs.executable) return false;
    if (base.type == Type::link) return base.target == theirs.target;
    return base.type == Type::directory || (base.size == theirs.size && base.modified_ns == theirs.modified_ns);
  }

  std::optional<Change> compare_one(const std::string& path) const {
    const Entry* base = find(base_, path);
    const Entry* ours = find(ours_, path);
    const Entry* theirs = find(theirs_, path);
    Change change;
    change.path = path;
    if (ours != nullptr) change.ours = *ours;
    if (theirs != nullptr) change.theirs = *theirs;
    if (theirs == nullptr) {
      if (base == nullptr || ours == nullptr || is_never_carried(path, *ours)) return std::nullopt;
      if (ours->type == Type::directory) return std::nullopt;  // goes when it is empty
      change.kind = Kind::deleted;
    } else if (theirs->type == Type::other) {
      return std::nullopt;
    } else if (ours == nullptr) {
      if (theirs->type == Type::directory || (base != nullptr && is_as_given(*base, *theirs))) return std::nullopt;
      change.kind = Kind::added;
      if (base != nullptr) change.conflict = "you removed it";
    } else if (is_equal(path, *ours, *theirs)) {
      if (ours->type != Type::file || ours->executable == theirs->executable) return std::nullopt;
      change.kind = Kind::mode;
    } else {
      change.kind = ours->type == theirs->type ? Kind::modified : Kind::type;
    }
    if (ours != nullptr && change.conflict.empty()) {
      if (base == nullptr) {
        if (theirs == nullptr) return std::nullopt;
        change.conflict = "you made one, too";
      } else if (!base->is_same_inode_state(*ours) || base->executable != ours->executable) {
        if (theirs != nullptr && is_as_given(*base, *theirs)) return std::nullopt;  // the operator's change alone
        change.conflict = "you changed it, too";
      }
    }
    change.autorun = reason_for(change);
    return change;
  }

  std::string reason_for(const Change& change) const {
    std::string reason = autorun_reason(change.path);
    if (!reason.empty()) return reason;
    for (const std::string& prefix : bare_)
      if (change.path.starts_with(prefix)) return "part of a git repository";
    if (!change.theirs) return {};
    if (change.theirs->type == Type::link) {
      const std::string where = autorun_reason(change.theirs->target);
      if (!where.empty()) return "a link to: " + where;
    }
    if (change.theirs->executable && !(change.ours && change.ours->executable)) return "newly executable";
    return {};
  }

  const Tree& base_;
  const Tree& ours_;
  const Tree& theirs_;
  int ours_root_;
  int theirs_root_;
  std::set<std::string> bare_;
};

/// The text that stands for an entry in a diff; nothing: it cannot be shown.
std::optional<std::string> text_of(const std::optional<Entry>& entry, const std::filesystem::path& root,
                                   const std::string& path) {
  if (!entry || entry->type == Type::directory) return "";
  if (entry->type == Type::link) return entry->target;
  if (entry->type != Type::file || entry->size > max_shown_bytes) return std::nullopt;
  const UniqueFd directory = open_root(root);
  auto text = read_all(open_file(directory.get(), path).get(), max_shown_bytes + 1);
  if (!text || is_binary(*text)) return std::nullopt;
  return *text;
}

std::string describe(const std::optional<Entry>& entry) {
  if (!entry) return "nothing";
  switch (entry->type) {
    case Type::file:
      return std::string(entry->executable ? "executable file" : "file") + " of " + std::to_string(entry->size) +
             " bytes";
    case Type::directory:
      return "directory";
    case Type::link:
      return "link";
    case Type::other:
      return "special file";
  }
  return {};
}

}  // namespace

std::string_view name_of(Kind kind) {
  constexpr std::array<std::string_view, 5> names{"added", "modified", "mode", "type", "deleted"};
  return names[static_cast<std::size_t>(kind)];
}

Changes compare(const Base& base, const std::filesystem::path& ours, const std::filesystem::path& theirs,
                const ScanOptions& options) {
  const Scan mine = scan_tree(ours, options);
  Scan copy = scan_tree(theirs, {.top_git = options.top_git, .skip = {}});
  const UniqueFd ours_root = open_root(ours);
  const UniqueFd theirs_root = open_root(theirs);
  Changes changes;
  changes.list = Comparer(base, mine.tree, copy.tree, ours_root.get(), theirs_root.get()).run();
  changes.left_out = std::move(copy.nested_git);
  std::erase_if(changes.left_out, [&](const std::string& path) {
    return std::ranges::find(mine.nested_git, path) != mine.nested_git.end();
  });
  return changes;
}

std::string diff_of(const Change& change, const std::filesystem::path& ours, const std::filesystem::path& theirs) {
  // A name with a line break in it would write lines of a diff of its own.
  const std::string name = escape_untrusted(change.path);
  std::string out = "--- " + (change.ours ? "a/" + name : std::string("/dev/null")) + "\n+++ " +
                    (change.theirs ? "b/" + name : std::string("/dev/null")) + "\n";
  const bool same_type = change.ours && change.theirs && change.ours->type == change.theirs->type;
  if (change.kind == Kind::mode || (same_type && change.ours->executable != change.theirs->executable) ||
      change.kind == Kind::type)
    out += describe(change.ours) + " -> " + describe(change.theirs) + "\n";
  if (change.kind == Kind::mode) return out;
  const auto before = text_of(change.ours, ours, change.path);
  const auto after = text_of(change.theirs, theirs, change.path);
  if (!before || !after) return out + "not shown: " + describe(change.ours) + " -> " + describe(change.theirs) + "\n";
  return out + unified_hunks(*before, *after);
}

}  // namespace bot_bottle::sync
