#include "sidecar/guest/confine.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace bot_bottle::guest {
namespace {

// The numbers are the same on every architecture (asm-generic/unistd.h); older headers do not name them.
constexpr long nr_landlock_create_ruleset = 444;
constexpr long nr_landlock_add_rule = 445;
constexpr long nr_landlock_restrict_self = 446;

constexpr std::uint64_t landlock_read =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t landlock_refer = 1ULL << 13;     // since ABI 2 (Linux 5.19)
constexpr std::uint64_t landlock_truncate = 1ULL << 14;  // since ABI 3 (Linux 6.2)

bool allow(int ruleset, const char* path, std::uint64_t access) {
  const UniqueFd place(::open(path, O_PATH | O_CLOEXEC));
  if (!place) return false;
  landlock_path_beneath_attr rule{};
  rule.allowed_access = access;
  rule.parent_fd = place.get();
  return ::syscall(nr_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0U) == 0;
}

}  // namespace

bool bring_up_loopback() {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return false;
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0) return false;
  if ((request.ifr_flags & IFF_UP) != 0) return true;
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  return ::ioctl(socket.get(), SIOCSIFFLAGS, &request) == 0;
}

bool drop_privileges() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  // After a change of uid what was kept is permitted and not in effect; emptying the bounding set takes CAP_SETPCAP.
  std::array<__user_cap_data_struct, 2> kept{};
  if (::syscall(SYS_capget, &header, kept.data()) != 0) return false;
  for (__user_cap_data_struct& half : kept) half.effective = half.permitted;
  if (::syscall(SYS_capset, &header, kept.data()) != 0) return false;
  for (int capability = 0;; ++capability) {
    const int present = ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    if (present < 0) break;  // past the last one that this kernel knows
    if (present == 1 && ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) return false;
  }
  // EINVAL: a kernel without ambient capabilities (Linux before 4.3, gVisor) has none to clear.
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL) return false;
  std::array<__user_cap_data_struct, 2> none{};
  if (::syscall(SYS_capset, &header, none.data()) != 0) return false;
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
}

UniqueFd make_landlock(const std::vector<std::string>& writable) {
  const long abi =
      ::syscall(nr_landlock_create_ruleset, nullptr, std::size_t{0}, 1U /* LANDLOCK_CREATE_RULESET_VERSION */);
  if (abi < 2) return UniqueFd();
  std::uint64_t all = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;  // everything of ABI 1
  all |= landlock_refer;
  if (abi >= 3) all |= landlock_truncate;
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = all;
  UniqueFd ruleset(static_cast<int>(::syscall(nr_landlock_create_ruleset, &attributes, sizeof attributes, 0U)));
  if (!ruleset || !allow(ruleset.get(), "/", landlock_read)) return UniqueFd();
  // No device is ever made, wherever it would be (attack H8).
  const std::uint64_t write =
      all & ~static_cast<std::uint64_t>(LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK);
  for (const std::string& path : writable)
    if (!allow(ruleset.get(), path.c_str(), write) && errno != ENOENT) return UniqueFd();
  return ruleset;
}

bool enter_landlock(int ruleset) {
  return ::syscall(nr_landlock_restrict_self, ruleset, 0U) == 0;
}

}  // namespace bot_bottle::guest
