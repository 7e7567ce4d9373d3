#include "sidecar/control/confine.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/unique_fd.hpp"

namespace bot_bottle::sidecar {
namespace {

// Not in every linux/landlock.h that we build with.
constexpr std::uint64_t access_refer = 1ULL << 13;     // ABI 2
constexpr std::uint64_t access_truncate = 1ULL << 14;  // ABI 3
constexpr std::uint64_t access_ioctl = 1ULL << 15;     // ABI 5
constexpr std::uint64_t read_rights = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t write_rights = read_rights | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                                       LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                                       LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK;
constexpr std::uint64_t first_abi_rights = (1ULL << 13) - 1;
constexpr std::uint64_t execute_rights = read_rights | LANDLOCK_ACCESS_FS_EXECUTE;
constexpr std::uint64_t file_rights =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE | access_truncate;

struct RulesetAttributes {
  std::uint64_t handled_access_fs = 0;
};

Result<void> allow(int ruleset, const std::string& path, std::uint64_t rights) {
  const UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!fd) {
    if (errno == ENOENT || errno == EACCES) return {};  // not there: nothing to allow
    return fail(error_from_errno(path, errno));
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return fail(error_from_errno(path, errno));
  if (!S_ISDIR(status.st_mode)) rights &= file_rights;
  landlock_path_beneath_attr rule{};
  rule.allowed_access = rights;
  rule.parent_fd = fd.get();
  if (::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
    return fail(error_from_errno(fmt::format("landlock: {}", path), errno));
  return {};
}

Result<int> restrict_files(const Access& access) {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi <= 0) return 0;
  RulesetAttributes attributes;
  attributes.handled_access_fs = first_abi_rights;
  if (abi >= 2) attributes.handled_access_fs |= access_refer;
  if (abi >= 3) attributes.handled_access_fs |= access_truncate;
  if (abi >= 5) attributes.handled_access_fs |= access_ioctl;
  const UniqueFd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
  if (!ruleset) return fail(error_from_errno("landlock", errno));
  for (const std::string& path : access.readable) BB_CHECK(allow(ruleset.get(), path, read_rights));
  for (const std::string& path : access.executable) BB_CHECK(allow(ruleset.get(), path, execute_rights));
  // Programs open it for writing, git first of all.
  if (!access.executable.empty())
    BB_CHECK(
        allow(ruleset.get(), "/dev/null", file_rights & ~LANDLOCK_ACCESS_FS_EXECUTE & attributes.handled_access_fs));
  for (const std::string& path : access.writable) {
    std::uint64_t rights = write_rights;
    if (abi >= 3) rights |= access_truncate;
    // A pack that is accepted moves from the quarantine to the mirror.
    if (abi >= 2 && !access.executable.empty()) rights |= access_refer;
    BB_CHECK(allow(ruleset.get(), path, rights & attributes.handled_access_fs));
  }
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) return fail(error_from_errno("landlock", errno));
  return static_cast<int>(abi);
}

}  // namespace

Result<Confinement> confine(const Access& access) {
  Confinement result;
  result.not_dumpable = ::prctl(PR_SET_DUMPABLE, 0) == 0;
  const rlimit none{0, 0};
  result.no_core = ::setrlimit(RLIMIT_CORE, &none) == 0;
  result.no_new_privileges = ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
  if (!result.not_dumpable || !result.no_core || !result.no_new_privileges)
    return fail(ErrorKind::unsupported, "the sidecar cannot protect its memory (prctl, setrlimit)");
  BB_TRY(result.landlock_abi, restrict_files(access));
  return result;
}

json::object to_json(const Confinement& confinement) {
  return {{"not_dumpable", confinement.not_dumpable},
          {"no_core", confinement.no_core},
          {"no_new_privileges", confinement.no_new_privileges},
          {"landlock_abi", confinement.landlock_abi}};
}

}  // namespace bot_bottle::sidecar
