#include "core/sync/tree.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/safe_path.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::sync {
namespace {

constexpr std::size_t max_depth = 256;
constexpr std::size_t max_entries = 2'000'000;
constexpr std::size_t max_base_bytes = std::size_t{1} << 30;
constexpr std::size_t max_link_bytes = 4096;

#ifdef __APPLE__
const timespec& modified_of(const struct stat& status) {
  return status.st_mtimespec;
}
const timespec& changed_of(const struct stat& status) {
  return status.st_ctimespec;
}
#else
const timespec& modified_of(const struct stat& status) {
  return status.st_mtim;
}
const timespec& changed_of(const struct stat& status) {
  return status.st_ctim;
}
#endif

std::int64_t nanoseconds(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

/// What of the top .git is looked at.
bool is_wanted_of_git(const std::string& path) {
  return path == ".git" || path == ".git/config" || path == ".git/config.worktree" || path == ".git/hooks" ||
         path.starts_with(".git/hooks/") || path == ".git/info" || path == ".git/info/attributes";
}

class Scanner {
 public:
  explicit Scanner(const ScanOptions& options) : options_(options) {}

  Scan run(int root) {
    walk(root, "", 0);
    return std::move(scan_);
  }

 private:
  void walk(int directory, const std::string& path, std::size_t depth) {
    if (depth > max_depth || scan_.tree.size() > max_entries)
      throw Failure(make_error(ErrorKind::permission_denied, "the tree is too deep or too large to be compared"));
    std::vector<std::string> names = or_throw<std::vector<std::string>>(list_directory(directory));
    std::ranges::sort(names);
    for (const std::string& name : names) {
      const std::string child = path.empty() ? name : path + "/" + name;
      if (path.empty() && options_.top_git == TopGit::left_out && is_git_name(name)) continue;
      if (is_git_name(name) && !path.empty() && !path.starts_with(".git/") && path != ".git") {
        scan_.nested_git.push_back(child);
        continue;
      }
      if (child.starts_with(".git/") && !is_wanted_of_git(child)) continue;
      struct stat status {};
      if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;  // gone meanwhile
      const Entry& entry = scan_.tree[child] = look_at(directory, name, status);
      if (entry.type != Type::directory) continue;
      if (std::ranges::find(options_.skip, std::pair{status.st_dev, status.st_ino}) != options_.skip.end()) {
        scan_.tree.erase(child);
        continue;
      }
      const UniqueFd next =
          or_throw<UniqueFd>(open_beneath(directory, name, O_RDONLY | O_DIRECTORY).map_error(in("reading " + child)));
      walk(next.get(), child, depth + 1);
    }
  }

  const ScanOptions& options_;
  Scan scan_;
};

template <typename Number>
Number number_of(std::string_view text) {
  Number value{};
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

Entry look_at(int directory, const std::string& name, const struct stat& status) {
  Entry entry;
  entry.type = S_ISREG(status.st_mode)   ? Type::file
               : S_ISDIR(status.st_mode) ? Type::directory
               : S_ISLNK(status.st_mode) ? Type::link
                                         : Type::other;
  entry.executable = entry.type == Type::file && (status.st_mode & S_IXUSR) != 0;
  entry.size = entry.type == Type::file ? static_cast<std::uint64_t>(status.st_size) : 0;
  entry.modified_ns = nanoseconds(modified_of(status));
  entry.changed_ns = nanoseconds(changed_of(status));
  entry.inode = static_cast<std::uint64_t>(status.st_ino);
  if (entry.type == Type::link) {
    std::array<char, max_link_bytes> bytes{};
    const ssize_t got = ::readlinkat(directory, name.c_str(), bytes.data(), bytes.size());
    if (got > 0) entry.target.assign(bytes.data(), static_cast<std::size_t>(got));
  }
  return entry;
}

bool Entry::is_same_inode_state(const Entry& other) const {
  if (type != other.type) return false;
  if (type == Type::directory) return true;  // its names are entries of their own
  return size == other.size && modified_ns == other.modified_ns && changed_ns == other.changed_ns &&
         inode == other.inode && target == other.target;
}

Scan scan_tree(const std::filesystem::path& root, const ScanOptions& options) {
  const UniqueFd directory(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) throw Failure(error_from_errno("cannot read " + root.string(), errno));
  return Scanner(options).run(directory.get());
}

// Fields of an entry end with NUL, which no name has.
void write_base(const std::filesystem::path& file, const Base& base) {
  std::string text = "bot-bottle.base/1";
  text += '\0';
  const auto add = [&text](const auto& value) {
    if constexpr (std::is_arithmetic_v<std::remove_cvref_t<decltype(value)>>)
      text += std::to_string(value);
    else
      text += value;
    text += '\0';
  };
  add(base.mode);
  add(base.source.string());
  for (const auto& [path, entry] : base.tree) {
    add(path);
    add(static_cast<int>(entry.type));
    add(static_cast<int>(entry.executable));
    add(entry.size);
    add(entry.modified_ns);
    add(entry.changed_ns);
    add(entry.inode);
    add(entry.target);
  }
  or_throw(write_file_fast(file, text));
}

std::optional<Base> find_base(const std::filesystem::path& file) {
  auto text = read_file(file, max_base_bytes);
  if (!text) {
    if (text.error().kind == ErrorKind::not_found) return std::nullopt;
    throw Failure(std::move(text.error()));
  }
  const auto fields = split(*text, '\0');
  constexpr std::size_t head = 3;
  constexpr std::size_t per_entry = 8;
  if (fields.size() < head + 1 || fields[0] != "bot-bottle.base/1" || (fields.size() - head - 1) % per_entry != 0)
    throw Failure(make_error(ErrorKind::invalid_argument, file.string() + " is not a record of a workspace"));
  Base base;
  base.mode = fields[1];
  base.source = std::string(fields[2]);
  for (std::size_t i = head; i + per_entry < fields.size(); i += per_entry) {
    Entry& entry = base.tree.emplace_hint(base.tree.end(), std::string(fields[i]), Entry{})->second;
    entry.type = static_cast<Type>(number_of<int>(fields[i + 1]));
    entry.executable = fields[i + 2] == "1";
    entry.size = number_of<std::uint64_t>(fields[i + 3]);
    entry.modified_ns = number_of<std::int64_t>(fields[i + 4]);
    entry.changed_ns = number_of<std::int64_t>(fields[i + 5]);
    entry.inode = number_of<std::uint64_t>(fields[i + 6]);
    entry.target = fields[i + 7];
  }
  return base;
}

// git's own path.c has the same three disguises (CVE-2014-9390).
bool is_git_name(std::string_view name) {
  std::string plain;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const std::string_view three = name.substr(i, 3);
    // U+200C..U+200F, U+202A..U+202E, U+206A..U+206F, U+FEFF: HFS+ ignores them.
    const bool ignored = (three.size() == 3 && three[0] == '\xe2' &&
                          ((three[1] == '\x80' && ((three[2] >= '\x8c' && three[2] <= '\x8f') ||
                                                   (three[2] >= '\xaa' && three[2] <= '\xae'))) ||
                           (three[1] == '\x81' && three[2] >= '\xaa' && three[2] <= '\xaf'))) ||
                         three == "\xef\xbb\xbf";
    if (ignored)
      i += 2;
    else
      plain += name[i];
  }
  while (!plain.empty() && (plain.back() == '.' || plain.back() == ' ')) plain.pop_back();
  plain = to_lower(plain.substr(0, plain.find(':')));
  return plain == ".git" || plain == "git~1";
}

}  // namespace bot_bottle::sync
