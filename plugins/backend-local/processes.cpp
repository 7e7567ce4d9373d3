#include "plugins/backend-local/processes.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "core/base/file.hpp"

namespace bot_bottle::backend_local {
namespace {

constexpr std::uint32_t first_uid = 1'900'000'000;
constexpr std::uint32_t uid_count = 4096;
constexpr std::uint32_t first_fallback_uid = 57'344;
constexpr std::uint32_t fallback_count = 2'600;
constexpr const char* reservations = "/run/bot-bottle/uids";

bool is_mapped(std::uint32_t uid) {
  const auto text = read_file("/proc/self/uid_map");
  if (!text) return true;
  std::uint64_t inside = 0;
  std::uint64_t outside = 0;
  std::uint64_t count = 0;
  const char* at = text->c_str();
  int used = 0;
  while (std::sscanf(at, "%lu %lu %lu%n", &inside, &outside, &count, &used) == 3) {
    if (uid >= inside && uid < inside + count) return true;
    at += used;
  }
  return false;
}

bool is_named(const std::string& path, int fd) {
  struct stat named {};
  struct stat open {};
  return ::lstat(path.c_str(), &named) == 0 && ::fstat(fd, &open) == 0 && named.st_dev == open.st_dev &&
         named.st_ino == open.st_ino;
}

/// Empty when somebody else has it.
UniqueFd try_reserve(std::uint32_t uid) {
  const std::string path = fmt::format("{}/{}", reservations, uid);
  UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  // flock and not fcntl: it belongs to the open file and goes with the descriptor to the keeper.
  if (!lock || ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) return UniqueFd();
  // Its last holder may have removed the file between open and flock: then this is a lock on nothing.
  return is_named(path, lock.get()) ? std::move(lock) : UniqueFd();
}

}  // namespace

std::optional<pid_t> find_lock_holder(const std::string& path) {
  const UniqueFd lock(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!lock) return std::nullopt;
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (::fcntl(lock.get(), F_GETLK, &whole) != 0 || whole.l_type == F_UNLCK || whole.l_pid <= 0) return std::nullopt;
  return whole.l_pid;
}

Result<void> end_keeper(const std::string& lock, std::chrono::milliseconds grace) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    const auto pid = find_lock_holder(lock);
    if (!pid) return {};
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0U)));
    if (!process) {
      if (errno == ESRCH) continue;
      return fail(error_from_errno("cannot watch the keeper " + std::to_string(*pid), errno));
    }
    if (find_lock_holder(lock) != pid) continue;  // it ended, and the number may be another's
    for (const auto& [number, wait] : std::array<std::pair<int, std::chrono::milliseconds>, 2>{
             {{SIGTERM, grace}, {SIGKILL, std::chrono::seconds(3)}}}) {
      if (::syscall(SYS_pidfd_send_signal, process.get(), number, nullptr, 0U) != 0 && errno != ESRCH)
        return fail(error_from_errno("cannot end the keeper " + std::to_string(*pid), errno));
      pollfd entry{.fd = process.get(), .events = POLLIN, .revents = 0};
      if (::poll(&entry, 1, static_cast<int>(wait.count())) > 0) break;
    }
  }
  if (find_lock_holder(lock)) return fail(ErrorKind::timeout, "the keeper behind " + lock + " does not end");
  return {};
}

Result<ReservedUid> reserve_uid(std::optional<std::uint32_t> preferred) {
  BB_CHECK(make_directories(reservations, 0700));
  struct stat status {};
  if (::lstat(reservations, &status) != 0 || !S_ISDIR(status.st_mode) || status.st_uid != 0 ||
      (status.st_mode & 022) != 0)
    return fail(ErrorKind::permission_denied, fmt::format("{} is not root's own directory", reservations), "remove it");
  if (preferred && *preferred >= first_fallback_uid && is_mapped(*preferred))
    if (UniqueFd lock = try_reserve(*preferred)) return ReservedUid{*preferred, std::move(lock)};
  const bool wide = is_mapped(first_uid + uid_count - 1);
  const std::uint32_t first = wide ? first_uid : first_fallback_uid;
  const std::uint32_t count = wide ? uid_count : fallback_count;
  if (!is_mapped(first))
    return fail(ErrorKind::unsupported, "no spare uids are mapped here", "run as an ordinary user");
  // Every process starts looking elsewhere, so that many launches at once rarely meet.
  const std::uint32_t offset = static_cast<std::uint32_t>(::getpid()) * 7 % count;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t uid = first + (offset + i) % count;
    if (UniqueFd lock = try_reserve(uid)) return ReservedUid{uid, std::move(lock)};
  }
  return fail(ErrorKind::unavailable, "all uids for bottles are taken", "stop a bottle");
}

void release_uid(std::uint32_t uid, int lock_fd) {
  const std::string path = fmt::format("{}/{}", reservations, uid);
  if (is_named(path, lock_fd)) ::unlink(path.c_str());
  ::rmdir(reservations);  // only when this was the last one
}

void sweep_uids() {
  std::error_code code;
  std::vector<std::uint32_t> uids;
  for (const auto& entry : std::filesystem::directory_iterator(reservations, code)) {
    const std::string name = entry.path().filename().string();
    std::uint32_t uid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), uid).ec == std::errc()) uids.push_back(uid);
  }
  for (const std::uint32_t uid : uids)
    if (const UniqueFd lock = try_reserve(uid)) release_uid(uid, lock.get());
}

}  // namespace bot_bottle::backend_local
