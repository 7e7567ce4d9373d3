#include "core/base/file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include "core/base/random.hpp"

namespace bot_bottle {
namespace {

enum class Durability : std::uint8_t { fast, synced };

Result<void> replace(const std::filesystem::path& path, std::string_view data, mode_t mode, Durability durability) {
  const std::filesystem::path temporary = path.string() + "." + random_base36(8) + ".tmp";
  UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!fd) return fail(error_from_errno("cannot create " + temporary.string(), errno));
  auto written = write_all(fd.get(), data);
  // fchmod: the umask must not decide who may read a secret's neighbour.
  if (written && ::fchmod(fd.get(), mode) != 0) written = fail(error_from_errno("cannot set the mode", errno));
  if (written && durability == Durability::synced && ::fsync(fd.get()) != 0)
    written = fail(error_from_errno("cannot sync", errno));
  if (written && ::rename(temporary.c_str(), path.c_str()) != 0)
    written = fail(error_from_errno("cannot rename into place", errno));
  if (!written) {
    ::unlink(temporary.c_str());
    return fail(std::move(written.error()).within("writing " + path.string()));
  }
  if (durability == Durability::synced) {
    const UniqueFd directory(::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory || ::fsync(directory.get()) != 0)
      return fail(error_from_errno("cannot sync the directory of " + path.string(), errno));
  }
  return {};
}

Result<void> remove_children(int directory_fd, int depth) {  // NOLINT(misc-no-recursion): bounded by `depth`
  constexpr int deepest = 512;
  if (depth > deepest) return fail(ErrorKind::failed_precondition, "the tree is deeper than 512 directories");
  DIR* raw = ::fdopendir(::dup(directory_fd));
  if (raw == nullptr) return fail(error_from_errno("cannot list a directory", errno));
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(raw, ::closedir);
  ::rewinddir(raw);
  while (const dirent* entry = ::readdir(raw)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (::unlinkat(directory_fd, entry->d_name, 0) == 0) continue;
    if (errno == ENOENT) continue;
    if (errno != EISDIR && errno != EPERM && errno != EACCES)
      return fail(error_from_errno("cannot remove " + std::string(name), errno));
    UniqueFd child(::openat(directory_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!child && errno == EACCES) {
      // Ours, but the agent took our permission away: give it back. AT_SYMLINK_NOFOLLOW is not
      // supported by fchmodat here, so go through O_PATH and /proc/self/fd, which cannot be swapped.
      const UniqueFd path(::openat(directory_fd, entry->d_name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (path) {
        ::chmod(("/proc/self/fd/" + std::to_string(path.get())).c_str(), 0700);
        child.reset(::openat(directory_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      }
    }
    if (!child) return fail(error_from_errno("cannot open " + std::string(name), errno));
    ::fchmod(child.get(), 0700);
    BB_CHECK(remove_children(child.get(), depth + 1));
    if (::unlinkat(directory_fd, entry->d_name, AT_REMOVEDIR) != 0 && errno != ENOENT)
      return fail(error_from_errno("cannot remove " + std::string(name), errno));
  }
  return {};
}

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path, std::size_t max_bytes) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail(error_from_errno("cannot open " + path.string(), errno));
  auto content = read_all(fd.get(), max_bytes);
  if (!content) return fail(std::move(content.error()).within("reading " + path.string()));
  return content;
}

Result<void> write_file_atomic(const std::filesystem::path& path, std::string_view data, mode_t mode) {
  return replace(path, data, mode, Durability::synced);
}

Result<void> write_file_fast(const std::filesystem::path& path, std::string_view data, mode_t mode) {
  return replace(path, data, mode, Durability::fast);
}

Result<void> make_directories(const std::filesystem::path& path, mode_t mode) {
  // Nearly always it is there, or its parent is: from the root only where neither is.
  struct stat there {};
  if (::stat(path.c_str(), &there) == 0 && S_ISDIR(there.st_mode)) return {};
  if (::mkdir(path.c_str(), mode) == 0) {
    if (::chmod(path.c_str(), mode) != 0)
      return fail(error_from_errno("cannot set the mode of " + path.string(), errno));
    return {};
  }
  std::filesystem::path made;
  Error refused;  // why the first that is not there could not be made; what comes below it says only ENOENT
  for (const auto& part : path) {
    made /= part;
    if (::mkdir(made.c_str(), mode) == 0) {
      if (::chmod(made.c_str(), mode) != 0)
        return fail(error_from_errno("cannot set the mode of " + made.string(), errno));
    } else if (errno != EEXIST && errno != EISDIR && errno != EROFS && errno != EACCES) {
      if (!refused.message.empty()) return fail(std::move(refused));
      return fail(error_from_errno("cannot create " + made.string(), errno));
    } else if (errno == EROFS || errno == EACCES) {
      const int number = errno;
      if (refused.message.empty() && ::access(made.c_str(), F_OK) != 0)
        refused = error_from_errno("cannot create " + made.string(), number);
    }
  }
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0)
    return fail(refused.message.empty() ? error_from_errno("cannot create " + path.string(), errno)
                                        : std::move(refused));
  if (!S_ISDIR(status.st_mode)) return fail(ErrorKind::failed_precondition, path.string() + " is not a directory");
  return {};
}

Result<void> write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t written = ::write(fd, data.data(), data.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return fail(error_from_errno("cannot write", errno));
    }
    data.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<std::string> read_all(int fd, std::size_t max_bytes) {
  std::string content;
  std::array<char, 65536> buffer{};
  while (true) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0) {
      if (errno == EINTR) continue;
      return fail(error_from_errno("cannot read", errno));
    }
    if (got == 0) return content;
    content.append(buffer.data(), static_cast<std::size_t>(got));
    if (content.size() > max_bytes)
      return fail(ErrorKind::invalid_argument, "it has more than the " + std::to_string(max_bytes) + " bytes allowed");
  }
}

Result<void> remove_tree(const std::filesystem::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return {};
    return fail(error_from_errno("cannot look at " + path.string(), errno));
  }
  if (!S_ISDIR(status.st_mode)) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT)
      return fail(error_from_errno("cannot remove " + path.string(), errno));
    return {};
  }
  ::chmod(path.c_str(), 0700);
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return fail(error_from_errno("cannot open " + path.string(), errno));
  auto removed = remove_children(fd.get(), 0);
  if (!removed) return fail(std::move(removed.error()).within("removing " + path.string()));
  if (::rmdir(path.c_str()) != 0 && errno != ENOENT)
    return fail(error_from_errno("cannot remove " + path.string(), errno));
  return {};
}

}  // namespace bot_bottle
