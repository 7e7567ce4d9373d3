#include "plugins/backend-docker/seccomp_profile.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <array>
#include <set>

#include "plugins/backend-local/seccomp.hpp"

namespace bot_bottle::backend_docker {
namespace {

struct Condition {
  unsigned argument = 0;
  std::uint64_t mask = 0;  // 0: all bits
  std::uint64_t value = 0;
};

class Profile {
 public:
  void allow(const char* name, std::initializer_list<Condition> conditions) {
    conditional_.insert(name);
    json::array args;
    for (const Condition& condition : conditions) {
      if (condition.mask == 0)
        args.push_back({{"index", condition.argument}, {"value", condition.value}, {"op", "SCMP_CMP_EQ"}});
      else
        args.push_back({{"index", condition.argument},
                        {"value", condition.mask},
                        {"valueTwo", condition.value},
                        {"op", "SCMP_CMP_MASKED_EQ"}});
    }
    rules_.push_back({{"names", json::array{name}}, {"action", "SCMP_ACT_ALLOW"}, {"args", std::move(args)}});
  }

  json::object finish() {
    json::array plain;
    for (const char* name : backend_local::allowed_system_calls())
      if (!conditional_.contains(name)) plain.emplace_back(name);
    rules_.push_back({{"names", std::move(plain)}, {"action", "SCMP_ACT_ALLOW"}});
    // Programs take ENOSYS for an old kernel and use what came before.
    rules_.push_back(
        {{"names", json::array{"clone3", "openat2", "io_uring_setup", "io_uring_enter", "io_uring_register"}},
         {"action", "SCMP_ACT_ERRNO"},
         {"errnoRet", 38}});
    utsname machine{};
    ::uname(&machine);
    const std::string_view name = machine.machine;
    const char* architecture = name == "aarch64"   ? "SCMP_ARCH_AARCH64"
                               : name == "riscv64" ? "SCMP_ARCH_RISCV64"
                                                   : "SCMP_ARCH_X86_64";
    return {{"defaultAction", "SCMP_ACT_ERRNO"},
            {"architectures", json::array{architecture}},
            {"syscalls", std::move(rules_)}};
  }

 private:
  json::array rules_;
  std::set<std::string_view> conditional_;
};

/// Everything but TIOCSTI and TIOCLINUX: for each bit in which a request can first differ from both, one rule.
void allow_ioctl(Profile& profile) {
  constexpr std::array<std::uint32_t, 2> refused{TIOCSTI, TIOCLINUX};
  // Prefixes that both, one or none of the refused share: depth first through the bits, from the top.
  const auto walk = [&](const auto& self, int bit, std::uint32_t prefix) -> void {
    const std::uint64_t mask = bit == 32 ? 0 : (0xffffffffULL << bit) & 0xffffffffULL;
    bool touches = false;
    for (const std::uint32_t request : refused) touches = touches || (request & mask) == prefix;
    if (!touches) {
      profile.allow("ioctl", {{1, mask, prefix}});
      return;
    }
    if (bit == 0) return;
    self(self, bit - 1, prefix);
    self(self, bit - 1, prefix | (1U << (bit - 1)));
  };
  walk(walk, 32, 0);
}

}  // namespace

json::object make_seccomp_profile() {
  Profile profile;
  allow_ioctl(profile);
  constexpr std::uint64_t namespaces =
      CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
#if defined(__s390__)
  profile.allow("clone", {{1, namespaces, 0}});
#else
  profile.allow("clone", {{0, namespaces, 0}});
#endif
  profile.allow("personality", {{0, 0, 0}});
  profile.allow("personality", {{0, 0, 0xffffffff}});
  for (const std::uint64_t type : {std::uint64_t{SOCK_STREAM}, std::uint64_t{SOCK_DGRAM}})
    for (const std::uint64_t domain : {std::uint64_t{AF_UNIX}, std::uint64_t{AF_INET}, std::uint64_t{AF_INET6}})
      profile.allow("socket", {{0, 0, domain}, {1, 0xf, type}});
  profile.allow("socket", {{0, 0, AF_UNIX}, {1, 0xf, SOCK_SEQPACKET}});
  for (const std::uint64_t type : {std::uint64_t{SOCK_RAW}, std::uint64_t{SOCK_DGRAM}})  // getifaddrs(3)
    profile.allow("socket", {{0, 0, AF_NETLINK}, {1, 0xf, type}, {2, 0xffffffff, 0}});
  // No set-id file is made (seccomp.cpp of local says why), no device asked for (attack H8).
  constexpr std::uint64_t set_id = S_ISUID | S_ISGID;
  constexpr std::uint64_t creates = O_CREAT | (O_TMPFILE & ~O_DIRECTORY);
  for (const char* name : {"chmod", "fchmod", "creat"}) profile.allow(name, {{1, set_id, 0}});
  for (const char* name : {"fchmodat", "fchmodat2"}) profile.allow(name, {{2, set_id, 0}});
  profile.allow("open", {{1, creates, 0}});
  profile.allow("open", {{2, set_id, 0}});
  profile.allow("openat", {{2, creates, 0}});
  profile.allow("openat", {{3, set_id, 0}});
  for (const std::uint64_t kind :
       {std::uint64_t{0}, std::uint64_t{S_IFREG}, std::uint64_t{S_IFIFO}, std::uint64_t{S_IFSOCK}}) {
    profile.allow("mknod", {{1, S_IFMT | set_id, kind}});
    profile.allow("mknodat", {{2, S_IFMT | set_id, kind}});
  }
  return profile.finish();
}

}  // namespace bot_bottle::backend_docker
