#include "plugins/backend-local/keeper/disk_guard.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "core/base/clock.hpp"

namespace bot_bottle::backend_local {
namespace {

constexpr std::uint64_t gibibyte = std::uint64_t{1} << 30;
constexpr std::size_t max_depth = 256;          // each level holds a descriptor
constexpr std::size_t entries_per_tick = 5000;  // about 10 ms

/// Names in a directory of /proc; empty when it went away.
std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  DIR* const stream = ::opendir(directory.c_str());
  if (stream == nullptr) return names;
  while (const dirent* entry = ::readdir(stream))
    if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') names.emplace_back(entry->d_name);
  ::closedir(stream);
  return names;
}

/// The parent of a process, by /proc/PID/stat (proc(5)); 0 when it ended. The name in it is the agent's: read from its
/// end.
pid_t parent_of(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const std::size_t after_name = text.rfind(')');
  if (after_name == std::string::npos) return 0;
  std::istringstream rest(text.substr(after_name + 1));
  char state = 0;
  pid_t parent = 0;
  rest >> state >> parent;
  return parent;
}

/// What open files without a name hold on this file system: no tree shows them, the disk does (attack L). Looks at our
/// own descendants, which all processes of the bottle are. A mapping whose descriptor was closed is not seen: the
/// reserve holds it.
std::uint64_t unlinked_bytes(dev_t device) {
  std::multimap<pid_t, std::string> children;
  for (const std::string& pid : names_in("/proc")) children.emplace(parent_of(pid), pid);
  std::vector<pid_t> open{::getpid()};
  std::set<ino_t> seen;
  std::uint64_t bytes = 0;
  while (!open.empty()) {
    const auto [begin, end] = children.equal_range(open.back());
    open.pop_back();
    for (auto child = begin; child != end; ++child) {
      open.push_back(static_cast<pid_t>(std::stol(child->second)));
      const std::string descriptors = "/proc/" + child->second + "/fd/";
      for (const std::string& descriptor : names_in(descriptors)) {
        struct stat status {};
        if (::stat((descriptors + descriptor).c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
        if (status.st_nlink != 0 || status.st_dev != device || !seen.insert(status.st_ino).second) continue;
        bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
      }
    }
  }
  return bytes;
}

std::uint64_t free_bytes(const struct statvfs& status) {
  return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

}  // namespace

DiskGuard::DiskGuard(std::string place, std::vector<std::string> measured, std::uint64_t limit, std::uint64_t reserve)
    : place_(std::move(place)), measured_(std::move(measured)), limit_(limit), reserve_(reserve) {
  struct statvfs status {};
  if (::statvfs(place_.c_str(), &status) != 0) return;
  if (reserve_ == 0) {
    const std::uint64_t size = static_cast<std::uint64_t>(status.f_blocks) * status.f_frsize;
    reserve_ = std::min({std::max(gibibyte, size / 20), 10 * gibibyte, free_bytes(status) / 2});
  }
  inode_reserve_ = std::min<std::uint64_t>(status.f_files / 20, status.f_favail / 2);
}

std::optional<std::string> DiskGuard::check() {
  struct statvfs status {};
  if (::statvfs(place_.c_str(), &status) != 0) return std::nullopt;
  const std::uint64_t free = free_bytes(status);
  if (free < reserve_) return "only " + format_bytes(free) + " are free on the host's disk";
  if (status.f_favail < inode_reserve_) return std::string("the host's file system is almost out of inodes");
  if (limit_ == 0) return std::nullopt;
  // Half of the limit may come and go unseen only if it never shows in the free space.
  const std::uint64_t step = std::min<std::uint64_t>(std::max<std::uint64_t>(limit_ / 32, 1 << 20), 64 << 20);
  if (!walking_ && (free_at_walk_ == UINT64_MAX || free + step < free_at_walk_)) {
    free_at_walk_ = free;
    begin_walk();
  } else if (!walking_ && free > free_at_walk_) {
    free_at_walk_ = free;
  }
  if (!walking_ || !walk(entries_per_tick)) return std::nullopt;
  walking_ = false;
  if (struct stat place{}; ::stat(place_.c_str(), &place) == 0) counted_ += unlinked_bytes(place.st_dev);
  if (too_deep_) return std::string("a directory tree is too deep to be measured");
  if (counted_ > limit_)
    return "the bottle uses " + format_bytes(counted_) + " of disk, the limit is " + format_bytes(limit_);
  return std::nullopt;
}

void DiskGuard::begin_walk() {
  walking_ = true;
  too_deep_ = false;
  counted_ = 0;
  levels_.clear();
  roots_.assign(measured_.begin(), measured_.end());
}

bool DiskGuard::walk(std::size_t entries) {
  budget_ = entries;
  while (budget_ > 0) {
    if (levels_.empty()) {
      if (roots_.empty()) return true;
      const std::string root = std::move(roots_.front());
      roots_.pop_front();
      enter(AT_FDCWD, root);
      continue;
    }
    if (levels_.back().names.empty()) {
      levels_.pop_back();
      continue;
    }
    const std::string name = std::move(levels_.back().names.back());
    levels_.back().names.pop_back();
    enter(levels_.back().directory.get(), name);
  }
  return false;
}

void DiskGuard::enter(int parent, const std::string& name) {
  if (budget_ > 0) --budget_;
  if (levels_.size() >= max_depth) {
    too_deep_ = true;
    return;
  }
  // The tree is hostile: no link is followed.
  UniqueFd directory(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) return;
  DIR* const stream = ::fdopendir(::fcntl(directory.get(), F_DUPFD_CLOEXEC, 0));
  if (stream == nullptr) return;
  Level level;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string child = entry->d_name;
    if (child == "." || child == "..") continue;
    if (budget_ > 0) --budget_;
    struct stat status {};
    if (::fstatat(directory.get(), child.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    counted_ += static_cast<std::uint64_t>(status.st_blocks) * 512 /
                std::max<std::uint64_t>(1, S_ISDIR(status.st_mode) ? 1 : status.st_nlink);
    if (S_ISDIR(status.st_mode)) level.names.push_back(child);
  }
  ::closedir(stream);
  level.directory = std::move(directory);
  levels_.push_back(std::move(level));
}

}  // namespace bot_bottle::backend_local
