#include "host_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>  // NOLINT(modernize-deprecated-headers): explicit_bzero
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

namespace bot_bottle::provider_config {
namespace {

constexpr std::size_t max_entries = 2000;

/// Length of the UTF-8 sequence at the begin of `rest` (RFC 3629), 0 for none.
std::size_t sequence_length(std::string_view rest) {
  const auto at = [&rest](std::size_t i) { return static_cast<unsigned char>(rest[i]); };
  const unsigned char lead = at(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xF0 && lead <= 0xF4 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 0;
  if (length == 0 || lead > 0xF4 || rest.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((at(i) & 0xC0U) != 0x80) return 0;
  const bool is_short = (lead == 0xE0 && at(1) < 0xA0) || (lead == 0xF0 && at(1) < 0x90);
  const bool is_surrogate = lead == 0xED && at(1) > 0x9F;
  const bool is_beyond = lead == 0xF4 && at(1) > 0x8F;
  return is_short || is_surrogate || is_beyond ? 0 : length;
}

}  // namespace

bool is_text(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t length = bytes[0] == '\0' ? 0 : sequence_length(bytes);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

std::string_view explain(HostText::Fault fault) {
  switch (fault) {
    case HostText::Fault::none:
      return "is fine";
    case HostText::Fault::absent:
      return "is not there";
    case HostText::Fault::not_regular:
      return "is a link or no file: not followed";
    case HostText::Fault::too_large:
      return "is too large";
    case HostText::Fault::not_text:
      return "is not text";
    case HostText::Fault::unreadable:
      break;
  }
  return "cannot be read";
}

HostTree::HostTree(const std::string& root)
    : root_(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK)) {}

HostTree::~HostTree() {
  if (root_ >= 0) ::close(root_);
}

/// Component by component, each with O_NOFOLLOW: a link anywhere on the way is an error (ELOOP, ENOTDIR), also one that
/// is put there while we walk. Guarded by providers_test: nothing_is_read_through_a_link.
int HostTree::open_beneath(const std::string& relative, int flags) const {
  int at = ::dup(root_);
  std::size_t begin = 0;
  while (at >= 0 && begin < relative.size()) {
    const std::size_t slash = std::min(relative.find('/', begin), relative.size());
    const std::string part = relative.substr(begin, slash - begin);
    begin = slash + 1;
    if (part.empty() || part == "." || part == "..") {
      ::close(at);
      errno = EINVAL;
      return -1;
    }
    const bool is_last = begin > relative.size();
    const int next = ::openat(
        at, part.c_str(), (is_last ? flags : O_RDONLY | O_DIRECTORY) | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const int number = errno;
    ::close(at);
    errno = number;
    at = next;
  }
  return at;
}

std::vector<HostEntry> HostTree::list(const std::string& relative) const {
  std::vector<HostEntry> entries;
  const int fd = is_there() ? open_beneath(relative, O_RDONLY | O_DIRECTORY) : -1;
  if (fd < 0) return entries;
  DIR* const directory = ::fdopendir(fd);
  if (directory == nullptr) {
    ::close(fd);
    return entries;
  }
  ::rewinddir(directory);
  while (const dirent* entry = ::readdir(directory)) {
    const std::string name = entry->d_name;
    if (name == "." || name == ".." || !is_text(name) || entries.size() >= max_entries) continue;
    struct stat status {};
    if (::fstatat(::dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    entries.push_back({S_ISREG(status.st_mode)   ? HostEntry::Kind::file
                       : S_ISDIR(status.st_mode) ? HostEntry::Kind::directory
                                                 : HostEntry::Kind::other,
                       name});
  }
  ::closedir(directory);
  std::ranges::sort(entries, {}, &HostEntry::name);
  return entries;
}

HostText HostTree::read(const std::string& relative, std::size_t max_bytes) const {
  HostText out;
  const int fd = is_there() ? open_beneath(relative, O_RDONLY) : -1;
  if (fd < 0) {
    out.fault = !is_there() || errno == ENOENT                         ? HostText::Fault::absent
                : errno == ELOOP || errno == ENOTDIR || errno == ENXIO ? HostText::Fault::not_regular
                                                                       : HostText::Fault::unreadable;
    return out;
  }
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    out.fault = HostText::Fault::not_regular;
  } else {
    out.is_program = (status.st_mode & S_IXUSR) != 0;
    out.is_own = (status.st_uid == ::geteuid() || status.st_uid == 0) && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
    // A file may hold a login: the text never moves while it grows, so that no copy is left behind.
    if (status.st_size > 0) out.text.reserve(std::min(max_bytes, static_cast<std::size_t>(status.st_size)));
    std::array<char, 65536> piece{};
    while (out.fault == HostText::Fault::none) {
      const ssize_t got = ::read(fd, piece.data(), piece.size());
      if (got == 0) break;
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) {
        out.fault = HostText::Fault::unreadable;
      } else if (out.text.size() + static_cast<std::size_t>(got) > max_bytes) {  // what fstat said may be old
        out.fault = HostText::Fault::too_large;
      } else {
        out.text.append(piece.data(), static_cast<std::size_t>(got));
      }
    }
    ::explicit_bzero(piece.data(), piece.size());
    if (out.fault == HostText::Fault::none && !is_text(out.text)) out.fault = HostText::Fault::not_text;
  }
  ::close(fd);
  if (out.fault != HostText::Fault::none) out.text.clear();
  return out;
}

}  // namespace bot_bottle::provider_config
