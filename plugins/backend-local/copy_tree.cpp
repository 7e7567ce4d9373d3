#include "plugins/backend-local/copy_tree.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "core/base/safe_path.hpp"

namespace bot_bottle::backend_local {
namespace {

constexpr std::size_t max_depth = 128;  // of directories, each holds two descriptors; deeper trees are an attack
constexpr std::size_t small_file = 128 * 1024;  // one read and one write beat copy_file_range below this
constexpr std::size_t max_link_bytes = 4096;    // PATH_MAX

std::string read_link(int directory, const std::string& name) {
  std::array<char, max_link_bytes> bytes{};
  const ssize_t got = ::readlinkat(directory, name.c_str(), bytes.data(), bytes.size());
  return got <= 0 || static_cast<std::size_t>(got) == bytes.size()
             ? std::string()
             : std::string(bytes.data(), static_cast<std::size_t>(got));
}

mode_t safe_mode(mode_t mode) {
  return mode & 0777;
}

/// A directory pair to be copied. Kept open by those below it only through shared_ptr.
struct Folder {
  UniqueFd from;
  UniqueFd to;
  std::string path;  // below the top, for messages
  std::size_t depth = 0;
  std::shared_ptr<Folder> parent;  // times and modes are set when the last child is done
  struct stat status {};
  bool made = false;
  mode_t mode = 0;
  bool unlocked = false;  // the source's mode is to be put back
  std::function<void(Folder&)> finish;
  ~Folder() {
    if (finish) finish(*this);
  }
};

class Copier {
 public:
  explicit Copier(const CopyOptions& options) : options_(options) {}

  Result<CopyReport> run(const CopyEnd& from, const CopyEnd& to) {
    BB_TRY(const Split source, split(from));
    BB_TRY(const Split dest, split(to));
    struct stat status {};
    if (::fstatat(source.parent.get(), source.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
      return fail(error_from_errno("cannot copy " + from.path, errno));
    if (S_ISDIR(status.st_mode) && !options_.recursive)
      return fail(ErrorKind::invalid_argument, from.path + " is a directory", "ask for a recursive copy");
    auto top = std::make_shared<Folder>();
    top->from.reset(::fcntl(source.parent.get(), F_DUPFD_CLOEXEC, 0));
    top->to.reset(::fcntl(dest.parent.get(), F_DUPFD_CLOEXEC, 0));
    if (!top->from || !top->to) return fail(error_from_errno("cannot copy", errno));
    copy_entry(top, source.name, dest.name, true);
    top.reset();
    work();
    if (failed_) return fail(std::move(error_));
    return report_;
  }

 private:
  struct Task {
    std::shared_ptr<Folder> folder;
    std::string name;
    std::string to_name;
    struct stat status {};
    bool top = false;
  };
  struct Split {
    UniqueFd parent;
    std::string name;
  };

  static Result<Split> split(const CopyEnd& end) {
    std::string path = end.path;
    while (!path.empty() && path.back() == '/') path.pop_back();
    const std::size_t slash = path.rfind('/');
    const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
    const std::string parent = slash == std::string::npos ? "" : path.substr(0, slash);
    if (name == "..") return fail(ErrorKind::invalid_argument, "a path may not end in '..'");
    if (name.empty()) {  // the root itself
      UniqueFd root(::fcntl(end.root, F_DUPFD_CLOEXEC, 0));
      if (!root) return fail(error_from_errno("cannot copy", errno));
      return Split{std::move(root), "."};
    }
    BB_TRY(UniqueFd directory, open_beneath(end.root, parent, O_RDONLY | O_DIRECTORY));
    return Split{std::move(directory), name};
  }

  void work() {
    const unsigned count = std::max(1U, options_.threads);
    std::vector<std::thread> helpers;
    for (unsigned i = 1; i < count; ++i) helpers.emplace_back([this] { drain(); });
    drain();
    for (std::thread& helper : helpers) helper.join();
  }

  void drain() {
    while (true) {
      Task task;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return !queue_.empty() || busy_ == 0; });
        if (queue_.empty()) return;
        // Last in, first out: depth first holds fewer descriptors open than breadth first.
        task = std::move(queue_.back());
        queue_.pop_back();
        ++busy_;
      }
      if (!failed_) {
        auto entered = enter_directory(task);
        if (!entered)
          set_failed(std::move(entered.error())
                         .within(task.folder->path.empty() ? task.name : task.folder->path + "/" + task.name));
      }
      task = Task{};
      {
        const std::lock_guard lock(mutex_);
        --busy_;
      }
      wake_.notify_all();
    }
  }

  void tell() const {
    if (options_.progress) options_.progress(entries_, written_);
  }

  void copy_children(const std::shared_ptr<Folder>& folder) {
    auto names = list_directory(folder->from.get());
    if (!names) return set_failed(std::move(names.error()).within(folder->path));
    for (const std::string& name : *names) {
      if (failed_) return;
      copy_entry(folder, name, name, false);
    }
  }

  void copy_entry(const std::shared_ptr<Folder>& folder, const std::string& name, const std::string& to_name,
                  bool top) {
    const std::uint64_t done = ++entries_;
    if (done % 512 == 0) {
      if (options_.cancelled && options_.cancelled())
        return set_failed(make_error(ErrorKind::cancelled, "the copy was cancelled"));
      tell();
      struct statvfs space {};
      if (::fstatvfs(folder->to.get(), &space) == 0 &&
          static_cast<std::uint64_t>(space.f_bavail) * space.f_frsize < options_.keep_free_bytes)
        return set_failed(
            make_error(ErrorKind::failed_precondition, "the disk is almost full", "make room and try again"));
    }
    struct stat status {};
    if (::fstatat(folder->from.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno != ENOENT || top) set_failed(error_from_errno(folder->path + "/" + name, errno));
      return;  // gone meanwhile
    }
    Result<void> result;
    if (S_ISDIR(status.st_mode)) {
      // Opened when its turn comes: a directory of ten thousand others must not take as many descriptors.
      {
        const std::lock_guard lock(mutex_);
        queue_.push_back({folder, name, to_name, status, top});
      }
      wake_.notify_one();
    } else if (S_ISREG(status.st_mode))
      result = copy_file(*folder, name, to_name, top, status);
    else if (S_ISLNK(status.st_mode))
      result = copy_link(*folder, name, to_name, top);
    else
      ++skipped_;  // a device, socket or pipe: never made on either side (attack H8)
    if (!result) set_failed(std::move(result.error()).within(folder->path.empty() ? name : folder->path + "/" + name));
  }

  Result<void> enter_directory(const Task& task) {
    const auto& [folder, name, to_name, status, top] = task;
    for (const auto& [device, inode] : options_.skip)
      if (device == status.st_dev && inode == status.st_ino) {
        ++skipped_;
        return {};
      }
    if (folder->depth >= max_depth)
      return fail(ErrorKind::permission_denied, "the tree has more than " + std::to_string(max_depth) + " levels");
    auto child = std::make_shared<Folder>();
    child->unlocked = unlock(folder->from.get(), name, status);
    BB_TRY(child->from, open_beneath(folder->from.get(), name, O_RDONLY | O_DIRECTORY));
    bool made = true;
    if (to_name == ".") {
      made = false;
    } else if (::mkdirat(folder->to.get(), to_name.c_str(), 0700) != 0) {
      if (errno != EEXIST) return fail(error_from_errno("cannot make the directory", errno));
      made = false;
      struct stat there {};
      // A link or file of that name gives way; what it points to is not touched.
      if (::fstatat(folder->to.get(), to_name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(there.st_mode)) {
        if (::unlinkat(folder->to.get(), to_name.c_str(), 0) != 0 ||
            ::mkdirat(folder->to.get(), to_name.c_str(), 0700) != 0)
          return fail(error_from_errno("cannot replace what is there", errno));
        made = true;
      }
    }
    BB_TRY(child->to, open_beneath(folder->to.get(), to_name, O_RDONLY | O_DIRECTORY));
    child->path = top ? std::string() : folder->path.empty() ? name : folder->path + "/" + name;
    child->depth = top ? 0 : folder->depth + 1;
    child->parent = folder;
    child->status = status;
    child->made = made;
    child->mode = top && options_.mode ? safe_mode(*options_.mode) : safe_mode(status.st_mode);
    // Set at the end: a read-only directory could not be filled, and filling changes its time.
    child->finish = [owner = options_.owner](Folder& done) {
      if (done.unlocked) ::fchmod(done.from.get(), done.status.st_mode & 07777);
      if (!done.to || !done.made) return;
      if (owner) [[maybe_unused]]
        const int changed = ::fchown(done.to.get(), owner->first, owner->second);
      ::fchmod(done.to.get(), done.mode);
      const std::array<timespec, 2> times{done.status.st_atim, done.status.st_mtim};
      ::futimens(done.to.get(), times.data());
    };
    ++directories_;
    copy_children(child);
    return {};
  }

  /// Gives us, the owner, the permissions that a copy needs. True: they must be taken back.
  bool unlock(int directory, const std::string& name, const struct stat& status) {
    const mode_t needed = S_ISDIR(status.st_mode) ? 0500 : 0400;
    if (options_.locked != LockedFiles::opened || (status.st_mode & needed) == needed) return false;
    if (::geteuid() == 0 || status.st_uid != ::geteuid()) return false;
    const UniqueFd place(::openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat there {};
    if (!place || ::fstat(place.get(), &there) != 0 || there.st_ino != status.st_ino || S_ISLNK(there.st_mode))
      return false;
    return ::chmod(("/proc/self/fd/" + std::to_string(place.get())).c_str(), (status.st_mode & 07777) | needed) == 0;
  }

  Result<void> copy_file(Folder& folder, const std::string& name, const std::string& to_name, bool top,
                         const struct stat& seen) {
    const bool unlocked = unlock(folder.from.get(), name, seen);
    // Not blocking: between fstatat and here it may have become a pipe.
    BB_TRY(const UniqueFd source, open_beneath(folder.from.get(), name, O_RDONLY | O_NONBLOCK));
    if (unlocked) ::fchmod(source.get(), seen.st_mode & 07777);
    struct stat status {};
    if (::fstat(source.get(), &status) != 0) return fail(error_from_errno("cannot read", errno));
    if (!S_ISREG(status.st_mode)) {
      ++skipped_;
      return {};
    }
    if (status.st_nlink > 1 && link_to_known(folder, to_name, status)) return {};
    // A new file and never an open one: what is there may be a link, or be linked to from elsewhere (attack H1).
    UniqueFd dest(
        ::openat(folder.to.get(), to_name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!dest && errno == EEXIST) {
      struct stat there {};
      if (::fstatat(folder.to.get(), to_name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(there.st_mode))
        return fail(ErrorKind::already_exists, "there is a directory of that name");
      ::unlinkat(folder.to.get(), to_name.c_str(), 0);
      dest.reset(
          ::openat(folder.to.get(), to_name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    }
    if (!dest) return fail(error_from_errno("cannot make the file", errno));
    BB_CHECK(copy_content(source.get(), dest.get(), status));
    if (options_.owner && ::fchown(dest.get(), options_.owner->first, options_.owner->second) != 0)
      return fail(error_from_errno("cannot change the owner", errno));
    if (::fchmod(dest.get(), top && options_.mode ? safe_mode(*options_.mode) : safe_mode(status.st_mode)) != 0)
      return fail(error_from_errno("cannot set the mode", errno));
    const std::array<timespec, 2> times{status.st_atim, status.st_mtim};
    ::futimens(dest.get(), times.data());
    ++files_;
    if (status.st_nlink > 1) remember(folder, to_name, status);
    return {};
  }

  /// Hard links among what is copied stay hard links; never to anything that was there before.
  bool link_to_known(Folder& folder, const std::string& to_name, const struct stat& status) {
    const std::lock_guard lock(mutex_);
    const auto found = known_.find({status.st_dev, status.st_ino});
    if (found == known_.end()) return false;
    ::unlinkat(folder.to.get(), to_name.c_str(), 0);
    const std::string path = "/proc/self/fd/" + std::to_string(found->second.get());
    if (::linkat(AT_FDCWD, path.c_str(), folder.to.get(), to_name.c_str(), AT_SYMLINK_FOLLOW) != 0) return false;
    ++files_;
    return true;
  }

  void remember(Folder& folder, const std::string& to_name, const struct stat& status) {
    constexpr std::size_t max_known = 64;  // each holds a descriptor; beyond that links become copies
    UniqueFd place(::openat(folder.to.get(), to_name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    const std::lock_guard lock(mutex_);
    if (place && known_.size() < max_known) known_.emplace(std::pair{status.st_dev, status.st_ino}, std::move(place));
  }

  Result<void> copy_content(int source, int dest, const struct stat& status) {
    if (status.st_size == 0) return {};
    const auto size = static_cast<std::uint64_t>(status.st_size);
    const std::uint64_t held_bytes = std::min(size, static_cast<std::uint64_t>(status.st_blocks) * 512);
    bytes_ += held_bytes;
    if (can_clone_) {
      if (::ioctl(dest, FICLONE, source) == 0) {
        written_ += held_bytes;
        return {};
      }
      if (errno == EOPNOTSUPP || errno == EXDEV || errno == ENOTTY || errno == EINVAL || errno == ENOSYS)
        can_clone_ = false;
    }
    if (size <= small_file) {
      written_ += held_bytes;
      return copy_small(source, dest);
    }
    struct statvfs space {};
    if (::fstatvfs(dest, &space) == 0 &&
        static_cast<std::uint64_t>(space.f_bavail) * space.f_frsize < held_bytes + options_.keep_free_bytes)
      return fail(ErrorKind::failed_precondition, "the disk is almost full", "make room and try again");
    // Holes stay holes: a sparse file of a hostile size must not fill the disk.
    off_t at = 0;
    while (at < status.st_size) {
      // For each piece: of a sparse file there may be any number, and somebody may make more while they are read.
      if (options_.cancelled && options_.cancelled()) return fail(ErrorKind::cancelled, "the copy was cancelled");
      const off_t data = ::lseek(source, at, SEEK_DATA);
      if (data < 0 && errno == ENXIO) break;
      const off_t start = data < 0 ? at : data;
      off_t end = data < 0 ? status.st_size : ::lseek(source, start, SEEK_HOLE);
      if (end < 0 || end > status.st_size) end = status.st_size;
      BB_CHECK(copy_range(source, dest, start, end));
      at = end;
    }
    if (::ftruncate(dest, status.st_size) != 0) return fail(error_from_errno("cannot write", errno));
    return {};
  }

  static Result<void> copy_small(int source, int dest) {
    thread_local std::vector<char> buffer(small_file);
    off_t total = 0;
    while (true) {
      const ssize_t got = ::read(source, buffer.data(), buffer.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return fail(error_from_errno("cannot read", errno));
      if (got == 0) return {};
      BB_CHECK(write_at(dest, buffer.data(), static_cast<std::size_t>(got), total));
      total += got;
      if (static_cast<std::size_t>(total) > 4 * small_file) return {};  // it grows while it is read: enough
    }
  }

  Result<void> copy_range(int source, int dest, off_t from, off_t end) {
    off_t at = from;
    off_t out = from;
    std::uint64_t since_check = 0;
    while (at < end) {
      const auto want = static_cast<std::size_t>(std::min<off_t>(end - at, off_t{16} << 20));
      ssize_t got = can_copy_range_ ? ::copy_file_range(source, &at, dest, &out, want, 0) : -1;
      if (got < 0) {
        if (can_copy_range_ && errno == ENOSPC) return fail(error_from_errno("cannot write", errno));
        can_copy_range_ = false;
        std::vector<char> buffer(std::min<std::size_t>(want, std::size_t{1} << 20));
        got = ::pread(source, buffer.data(), buffer.size(), at);
        if (got < 0) return fail(error_from_errno("cannot read", errno));
        BB_CHECK(write_at(dest, buffer.data(), static_cast<std::size_t>(got), out));
        at += got;
        out += got;
      }
      if (got == 0) return {};  // it shrank
      since_check += static_cast<std::uint64_t>(got);
      written_ += static_cast<std::uint64_t>(got);
      tell();  // once for each 16 MiB
      if (since_check > (std::uint64_t{256} << 20)) {
        since_check = 0;
        struct statvfs space {};
        if (::fstatvfs(dest, &space) == 0 &&
            static_cast<std::uint64_t>(space.f_bavail) * space.f_frsize < options_.keep_free_bytes)
          return fail(ErrorKind::failed_precondition, "the disk is almost full", "make room and try again");
        if (options_.cancelled && options_.cancelled()) return fail(ErrorKind::cancelled, "the copy was cancelled");
      }
    }
    return {};
  }

  static Result<void> write_at(int dest, const char* data, std::size_t size, off_t at) {
    while (size > 0) {
      const ssize_t put = ::pwrite(dest, data, size, at);
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) return fail(error_from_errno("cannot write", errno));
      data += put;
      size -= static_cast<std::size_t>(put);
      at += put;
    }
    return {};
  }

  Result<void> copy_link(Folder& folder, const std::string& name, const std::string& to_name, bool top) {
    const std::string target = read_link(folder.from.get(), name);
    const bool inside = options_.links == LinkRule::keep || (!top && link_stays_inside(target, folder.depth));
    if (target.empty() || !inside) {
      ++skipped_;
      if (top) return fail(ErrorKind::permission_denied, "it is a link that leads out of what is copied");
      return {};
    }
    struct stat there {};
    if (::fstatat(folder.to.get(), to_name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0) {
      if (S_ISDIR(there.st_mode)) return fail(ErrorKind::already_exists, "there is a directory of that name");
      ::unlinkat(folder.to.get(), to_name.c_str(), 0);
    }
    if (::symlinkat(target.c_str(), folder.to.get(), to_name.c_str()) != 0)
      return fail(error_from_errno("cannot make the link", errno));
    if (options_.owner && ::fchownat(folder.to.get(), to_name.c_str(), options_.owner->first, options_.owner->second,
                                     AT_SYMLINK_NOFOLLOW) != 0)
      return fail(error_from_errno("cannot change the owner", errno));
    ++links_;
    return {};
  }

  void set_failed(Error error) {
    const std::lock_guard lock(mutex_);
    if (!failed_) error_ = std::move(error);
    failed_ = true;
  }

 public:
  /// The counters, once `run` has returned.
  CopyReport report() const { return {files_, directories_, links_, skipped_, bytes_}; }

 private:
  const CopyOptions& options_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> queue_;
  unsigned busy_ = 0;
  std::map<std::pair<dev_t, ino_t>, UniqueFd> known_;
  std::atomic<bool> failed_ = false;
  Error error_;
  std::atomic<bool> can_clone_ = true;
  std::atomic<bool> can_copy_range_ = true;
  std::atomic<std::uint64_t> entries_ = 0;
  std::atomic<std::uint64_t> files_ = 0;
  std::atomic<std::uint64_t> directories_ = 0;
  std::atomic<std::uint64_t> links_ = 0;
  std::atomic<std::uint64_t> skipped_ = 0;
  std::atomic<std::uint64_t> bytes_ = 0;
  std::atomic<std::uint64_t> written_ = 0;
  CopyReport report_;
};

}  // namespace

Result<CopyReport> copy_tree(const CopyEnd& from, const CopyEnd& to, const CopyOptions& options) {
  Copier copier(options);
  auto done = copier.run(from, to);
  if (!done) return done;
  return copier.report();
}

}  // namespace bot_bottle::backend_local
