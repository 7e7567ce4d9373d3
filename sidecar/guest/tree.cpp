#include "sidecar/guest/tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

namespace bot_bottle::guest {
namespace {

constexpr std::uint64_t check_every = std::uint64_t{16} << 20;
constexpr int max_depth = 512;

std::string described(const std::string& what, int number) {
  return what + ": " + std::strerror(number);
}

class Packer {
 public:
  Packer(const PackOptions& options, const std::function<bool(std::string_view)>& sink, std::string& problem)
      : options_(options), sink_(sink), problem_(problem) {}

  bool pack(int parent, const std::string& name, const std::string& as, int depth) {
    struct stat status {};
    if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT && depth > 0) return true;  // gone meanwhile
      problem_ = described(as.empty() ? name : as, errno);
      return false;
    }
    if (options_.going && ++entries_ % 1024 == 0 && !options_.going(entries_)) return false;
    TarEntry entry;
    entry.path = as;
    entry.mode = status.st_mode & 0777;
    if (depth == 0 && options_.mode) entry.mode = *options_.mode & 0777;
    entry.uid = options_.owner ? options_.owner->first : status.st_uid;
    entry.gid = options_.owner ? options_.owner->second : status.st_gid;
    entry.mtime = status.st_mtim.tv_sec;
    if (S_ISREG(status.st_mode)) return pack_file(parent, name, entry);
    if (S_ISDIR(status.st_mode)) return pack_directory(parent, name, entry, status, depth);
    if (S_ISLNK(status.st_mode)) return pack_link(parent, name, entry);
    return true;
  }

 private:
  bool pack_link(int parent, const std::string& name, TarEntry& entry) {
    std::array<char, max_tar_path + 1> target{};
    const ssize_t size = ::readlinkat(parent, name.c_str(), target.data(), target.size());
    if (size <= 0 || static_cast<std::size_t>(size) > max_tar_path) return true;
    entry.kind = TarEntry::Kind::link;
    entry.target.assign(target.data(), static_cast<std::size_t>(size));
    return sink_(make_tar_header(entry));
  }

  bool pack_file(int parent, const std::string& name, TarEntry& entry) {
    const UniqueFd file(::openat(parent, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status {};
    if (!file || ::fstat(file.get(), &status) != 0) {
      if (errno == ENOENT) return true;
      problem_ = described(entry.path, errno);
      return false;
    }
    if (!S_ISREG(status.st_mode)) return true;  // it was one a moment ago
    entry.size = static_cast<std::uint64_t>(status.st_size);
    if (!sink_(make_tar_header(entry))) return false;
    std::uint64_t left = entry.size;
    while (left > 0) {
      const ssize_t got = ::read(file.get(), buffer_.data(), std::min<std::uint64_t>(left, buffer_.size()));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) {
        problem_ = described(entry.path, errno);
        return false;
      }
      if (got == 0) break;
      if (!sink_({buffer_.data(), static_cast<std::size_t>(got)})) return false;
      left -= static_cast<std::uint64_t>(got);
    }
    // It shrank while it was read: the size has been said.
    static constexpr std::array<char, 16384> zeros{};
    while (left > 0) {
      const std::size_t part = static_cast<std::size_t>(std::min<std::uint64_t>(left, zeros.size()));
      if (!sink_({zeros.data(), part})) return false;
      left -= part;
    }
    return tar_padding(entry.size) == 0 || sink_({zeros.data(), tar_padding(entry.size)});
  }

  bool pack_directory(int parent, const std::string& name, TarEntry& entry, const struct stat& status, int depth) {
    if (!options_.recursive) {
      problem_ = name + " is a directory";
      return false;
    }
    if (std::ranges::find(options_.skip, std::pair(status.st_dev, status.st_ino)) != options_.skip.end()) return true;
    if (depth > max_depth) {
      problem_ = entry.path + ": too deep";
      return false;
    }
    UniqueFd directory(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory) {
      if (errno == ENOENT) return true;
      problem_ = described(entry.path.empty() ? name : entry.path, errno);
      return false;
    }
    entry.kind = TarEntry::Kind::directory;
    if (!entry.path.empty() && !sink_(make_tar_header(entry))) return false;
    const int fd = directory.get();
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(directory.release()), &::closedir);
    if (!stream) return true;
    std::vector<std::string> names;
    while (const dirent* found = ::readdir(stream.get())) {
      const std::string_view child(found->d_name);
      if (child != "." && child != "..") names.emplace_back(child);
    }
    const std::string below = entry.path.empty() ? std::string() : entry.path + "/";
    return std::ranges::all_of(names,
                               [&](const std::string& child) { return pack(fd, child, below + child, depth + 1); });
  }

  const PackOptions& options_;
  const std::function<bool(std::string_view)>& sink_;
  std::string& problem_;
  std::uint64_t entries_ = 0;
  std::vector<char> buffer_ = std::vector<char>(std::size_t{256} * 1024);
};

/// "a/b/c" of ordinary names; nothing else leads anywhere.
bool split_path(const std::string& path, std::vector<std::string>& parts) {
  std::size_t from = 0;
  while (from <= path.size()) {
    const std::size_t to = std::min(path.find('/', from), path.size());
    std::string part = path.substr(from, to - from);
    from = to + 1;
    if (part == ".") continue;
    if (part.empty() || part == ".." || part.size() > 255) return false;
    parts.push_back(std::move(part));
  }
  return parts.size() <= static_cast<std::size_t>(max_depth);
}

}  // namespace

bool pack_tree(int root, const std::string& path, const std::string& as, const PackOptions& options,
               const std::function<bool(std::string_view)>& sink, std::string& problem) {
  Packer packer(options, sink, problem);
  return packer.pack(root, path, as, 0);
}

bool TreeWriter::stop(const std::string& what, int number) {
  problem_ = number == 0 ? what : described(what, number);
  return false;
}

/// The directory that `path` lies in, made as far as it is missing.
UniqueFd TreeWriter::open_parent(const std::string& path, std::string& name) {
  std::vector<std::string> parts;
  if (!split_path(path, parts) || parts.empty()) {
    stop("'" + path + "' is not a plain relative path", 0);
    return UniqueFd();
  }
  name = parts.back();
  UniqueFd at(::fcntl(root_, F_DUPFD_CLOEXEC, 0));
  for (std::size_t i = 0; at && i + 1 < parts.size(); ++i) {
    if (::mkdirat(at.get(), parts[i].c_str(), 0755) != 0 && errno != EEXIST) {
      stop(path, errno);
      return UniqueFd();
    }
    at.reset(::openat(at.get(), parts[i].c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  }
  if (!at) stop(path, errno);
  return at;
}

bool TreeWriter::begin(const TarEntry& entry) {
  entry_ = entry;
  file_.reset();
  offset_ = 0;
  if (++entries_ > limits_.entries) return stop("too many entries", 0);
  if (entry.kind == TarEntry::Kind::other) {
    ++skipped_;
    return true;
  }
  if (entry.kind == TarEntry::Kind::directory && (entry.path == "." || entry.path == "./")) return true;
  std::string name;
  const UniqueFd parent = open_parent(entry.path, name);
  if (!parent) return false;
  struct stat there {};
  const bool exists = ::fstatat(parent.get(), name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0;
  if (entry.kind == TarEntry::Kind::directory) {
    if (exists && !S_ISDIR(there.st_mode)) return stop(entry.path + ": there is a file of that name", 0);
    if (!exists && ::mkdirat(parent.get(), name.c_str(), 0700) != 0) return stop(entry.path, errno);
    if (!exists) directories_.emplace_back(entry.path, entry.mode & 0777);
    return true;
  }
  if (exists && S_ISDIR(there.st_mode)) return stop(entry.path + ": there is a directory of that name", 0);
  if (exists && ::unlinkat(parent.get(), name.c_str(), 0) != 0) return stop(entry.path, errno);
  if (entry.kind == TarEntry::Kind::link) {
    if (entry.target.empty() || ::symlinkat(entry.target.c_str(), parent.get(), name.c_str()) != 0)
      return stop(entry.path, entry.target.empty() ? EINVAL : errno);
    return true;
  }
  file_.reset(::openat(parent.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  return file_ ? true : stop(entry.path, errno);
}

bool TreeWriter::data(std::string_view bytes) {
  if (!file_) return true;
  since_check_ += bytes.size();
  if (since_check_ > check_every) {
    since_check_ = 0;
    struct statvfs space {};
    if (::fstatvfs(file_.get(), &space) == 0 &&
        static_cast<std::uint64_t>(space.f_bavail) * space.f_frsize < limits_.keep_free_bytes)
      return stop("the disk is almost full", 0);
  }
  // Holes stay holes: a file of zeros must not fill the disk.
  if (bytes.size() >= 4096 && std::ranges::all_of(bytes, [](char c) { return c == '\0'; })) {
    offset_ += bytes.size();
    return true;
  }
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset_));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return stop(entry_.path, errno);
    offset_ += static_cast<std::uint64_t>(put);
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return true;
}

bool TreeWriter::end() {
  if (!file_) return true;
  if (::ftruncate(file_.get(), static_cast<off_t>(offset_)) != 0 || ::fchmod(file_.get(), entry_.mode & 0777) != 0)
    return stop(entry_.path, errno);
  const std::array<timespec, 2> times{timespec{.tv_sec = entry_.mtime, .tv_nsec = 0},
                                      timespec{.tv_sec = entry_.mtime, .tv_nsec = 0}};
  ::futimens(file_.get(), times.data());
  file_.reset();
  return true;
}

void TreeWriter::finish() {
  for (auto it = directories_.rbegin(); it != directories_.rend(); ++it) {
    std::string name;
    const UniqueFd parent = open_parent(it->first, name);
    if (!parent) continue;
    const UniqueFd directory(::openat(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (directory) ::fchmod(directory.get(), it->second);
  }
}

namespace {

int complain(const std::string& text) {
  const std::string line = text + "\n";
  [[maybe_unused]] const ssize_t told = ::write(2, line.data(), line.size());
  return 1;
}

}  // namespace

int run_pack(const std::string& path, const std::string& entry) {
  if (entry.empty() || entry == "." || entry == ".." || entry.find('/') != std::string::npos)
    return complain("an entry's name is one part of a path");
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return complain("not an absolute path");
  const UniqueFd parent(::open(slash == 0 ? "/" : path.substr(0, slash).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::string name = slash + 1 == path.size() ? "." : path.substr(slash + 1);
  if (!parent) return complain(described(path, errno));
  const auto sink = [](std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t put = ::write(1, bytes.data(), bytes.size());
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(put));
    }
    return true;
  };
  std::string problem;
  if (!pack_tree(parent.get(), name, entry, {}, sink, problem) || !sink(make_tar_end())) return complain(problem);
  return 0;
}

int run_unpack(const std::string& directory) {
  for (std::size_t at = directory.find('/', 1); at != std::string::npos; at = directory.find('/', at + 1))
    ::mkdir(directory.substr(0, at).c_str(), 0755);
  ::mkdir(directory.c_str(), 0755);
  const UniqueFd root(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return complain(described(directory, errno));
  TreeWriter writer(root.get(), {});
  TarReader reader(writer);
  std::vector<char> bytes(std::size_t{256} * 1024);
  while (!reader.is_complete()) {
    const ssize_t got = ::read(0, bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) {
      pollfd entry{.fd = 0, .events = POLLIN, .revents = 0};  // some tools give non-blocking descriptors
      ::poll(&entry, 1, -1);
      continue;
    }
    if (got <= 0) return complain("the archive is cut short");
    if (!reader.feed({bytes.data(), static_cast<std::size_t>(got)}))
      return complain(reader.problem().empty() ? writer.problem() : reader.problem());
  }
  writer.finish();
  return 0;
}

}  // namespace bot_bottle::guest
