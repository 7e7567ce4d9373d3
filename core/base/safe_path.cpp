#include "core/base/safe_path.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/openat2.h>
#include <sys/syscall.h>
#endif

#include <algorithm>
#include <cerrno>
#include <memory>

namespace bot_bottle {
namespace {

struct CloseDir {
  void operator()(DIR* stream) const { ::closedir(stream); }
};
using Stream = std::unique_ptr<DIR, CloseDir>;

}  // namespace

Result<std::vector<std::string>> list_directory(int directory) {
  const int copy = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const Stream stream(copy < 0 ? nullptr : ::fdopendir(copy));
  if (!stream) return fail(error_from_errno("cannot read a directory", errno));
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  return names;
}

#ifdef __linux__
Result<UniqueFd> open_beneath(int root, const std::string& path, int flags, mode_t mode) {
  struct open_how how {};
  how.flags = static_cast<std::uint64_t>(static_cast<unsigned>(flags | O_CLOEXEC | O_NOFOLLOW));
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  while (true) {
    UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, root, path.empty() ? "." : path.c_str(), &how, sizeof how)));
    if (fd) return fd;
    if (errno == EINTR || errno == EAGAIN) continue;  // EAGAIN: a rename raced with the lookup (openat2(2))
    if (errno == ELOOP || errno == EXDEV || errno == ENOTDIR)
      return fail(ErrorKind::permission_denied,
                  (path.empty() ? std::string("the path") : path) + " leads through a link, or is not a directory");
    return fail(error_from_errno("cannot open " + path, errno));
  }
}
#else
// Where there is no openat2(2): one name at a time, each without following.
Result<UniqueFd> open_beneath(int root, const std::string& path, int flags, mode_t mode) {
  UniqueFd at(::openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::size_t begin = 0;
  while (at && begin < path.size()) {
    const std::size_t slash = std::min(path.find('/', begin), path.size());
    const std::string part = path.substr(begin, slash - begin);
    begin = slash + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") return fail(ErrorKind::permission_denied, path + " leads out");
    const bool last = path.find_first_not_of('/', slash) == std::string::npos;
    at.reset(::openat(at.get(), part.c_str(), (last ? flags : O_RDONLY | O_DIRECTORY) | O_NOFOLLOW | O_CLOEXEC, mode));
  }
  if (at) return at;
  if (errno == ELOOP || errno == ENOTDIR)
    return fail(ErrorKind::permission_denied, path + " leads through a link, or is not a directory");
  return fail(error_from_errno("cannot open " + path, errno));
}
#endif

bool link_stays_inside(std::string_view target, std::size_t depth) {
  if (target.empty() || target.front() == '/') return false;
  std::size_t up = 0;
  bool names = false;
  while (!target.empty()) {
    const std::size_t slash = std::min(target.find('/'), target.size());
    const std::string_view part = target.substr(0, slash);
    target.remove_prefix(std::min(slash + 1, target.size()));
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      // Behind a name ".." is counted from where that name leads, which may be another link.
      if (names || ++up > depth) return false;
    } else {
      names = true;
    }
  }
  return true;
}

Result<void> change_owner(int root, uid_t uid, gid_t gid) {
  if (::fchown(root, uid, gid) != 0) return fail(error_from_errno("cannot change the owner", errno));
  std::vector<std::string> todo{""};
  while (!todo.empty()) {
    const std::string path = std::move(todo.back());
    todo.pop_back();
    if (path.size() > std::size_t{64} * 1024) return fail(ErrorKind::permission_denied, "the tree is too deep");
    auto directory = open_beneath(root, path, O_RDONLY | O_DIRECTORY);
    if (!directory) return fail(std::move(directory.error()));
    BB_TRY(const std::vector<std::string> names, list_directory(directory->get()));
    for (const std::string& name : names) {
      struct stat status {};
      if (::fstatat(directory->get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
      // chown(2) clears set-id bits of files; a link itself is changed, not what it names.
      if (::fchownat(directory->get(), name.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW) != 0)
        return fail(error_from_errno("cannot change the owner of " + name, errno));
      if (S_ISDIR(status.st_mode)) todo.push_back(path.empty() ? name : path + "/" + name);
    }
  }
  return {};
}

}  // namespace bot_bottle
