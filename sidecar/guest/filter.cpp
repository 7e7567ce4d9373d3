#include "sidecar/guest/filter.hpp"

#include <asm/unistd.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace bot_bottle::guest {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t architecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t architecture = AUDIT_ARCH_AARCH64;
#else
#error "bottle-init's filter does not know this architecture"
#endif

constexpr std::uint32_t x32_bit = 0x40000000;
constexpr std::uint32_t new_namespaces = 0x00000080 /* CLONE_NEWTIME */ | CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
                                         CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
/// unshare(2) and clone(2): the low byte of clone's is a signal, where CLONE_NEWTIME's bit means something else.
constexpr std::uint32_t clone_namespaces = new_namespaces & ~0xffU;
constexpr std::uint32_t tiocsti = 0x5412;
constexpr std::uint32_t tioclinux = 0x541C;

/// The same numbers everywhere from 424 on (asm-generic/unistd.h); older headers do not name them.
constexpr std::array<std::uint32_t, 11> numbered{425, 426, 427,                 // io_uring_setup, _enter, _register
                                                 428, 429, 430, 431, 432, 433,  // open_tree … fspick
                                                 442,                           // mount_setattr
                                                 447};                          // memfd_secret
constexpr std::uint32_t clone3 = 435;

constexpr std::array<std::uint32_t, 26> refused{__NR_ptrace,
                                                __NR_process_vm_readv,
                                                __NR_process_vm_writev,
                                                __NR_mount,
                                                __NR_umount2,
                                                __NR_pivot_root,
                                                __NR_setns,
                                                __NR_keyctl,
                                                __NR_add_key,
                                                __NR_request_key,
                                                __NR_bpf,
                                                __NR_perf_event_open,
                                                __NR_userfaultfd,
                                                __NR_kexec_load,
                                                __NR_init_module,
                                                __NR_finit_module,
                                                __NR_delete_module,
                                                __NR_open_by_handle_at,
                                                __NR_quotactl,
                                                __NR_swapon,
                                                __NR_swapoff,
                                                __NR_reboot,
                                                __NR_acct,
                                                __NR_kcmp,
                                                __NR_fanotify_init,
                                                __NR_lookup_dcookie};

class Program {
 public:
  void add(std::uint16_t code, std::uint32_t k, std::uint8_t if_true = 0, std::uint8_t if_false = 0) {
    list_.push_back({.code = code, .jt = if_true, .jf = if_false, .k = k});
  }
  void load(std::size_t offset) { add(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)); }
  void give(std::uint32_t action) { add(BPF_RET | BPF_K, action); }
  /// When the loaded word is `value`: `action`.
  void give_if(std::uint32_t value, std::uint32_t action) {
    add(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
    give(action);
  }
  [[nodiscard]] sock_fprog take() { return {.len = static_cast<unsigned short>(list_.size()), .filter = list_.data()}; }

 private:
  std::vector<sock_filter> list_;
};

constexpr std::size_t argument(std::size_t i) {
  return offsetof(seccomp_data, args) +
         i * sizeof(std::uint64_t);  // its low half: both architectures are little endian
}

}  // namespace

bool install_filter() {
  constexpr std::uint32_t deny = SECCOMP_RET_ERRNO | EPERM;
  constexpr std::uint32_t absent = SECCOMP_RET_ERRNO | ENOSYS;
  constexpr std::uint32_t allow = SECCOMP_RET_ALLOW;
  const std::size_t number = offsetof(seccomp_data, nr);
  Program program;
  program.load(offsetof(seccomp_data, arch));
  program.add(BPF_JMP | BPF_JEQ | BPF_K, architecture, 1, 0);
  program.give(SECCOMP_RET_KILL_PROCESS);  // another architecture's numbers mean other calls
  program.load(number);
  program.add(BPF_JMP | BPF_JGE | BPF_K, x32_bit, 0, 1);
  program.give(deny);
  // clone3 hides its flags behind a pointer: a C library falls back to clone.
  program.give_if(clone3, absent);
  for (const std::uint32_t call : numbered) program.give_if(call, deny);
  for (const std::uint32_t call : refused) program.give_if(call, deny);
  for (const std::uint32_t call : {std::uint32_t{__NR_socket}, std::uint32_t{__NR_socketpair}}) {
    program.add(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 12);
    program.load(argument(0));
    for (const int family : {AF_UNIX, AF_INET, AF_INET6}) program.give_if(static_cast<std::uint32_t>(family), allow);
    program.add(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 3);
    program.load(argument(2));
    program.give_if(0 /* NETLINK_ROUTE: what getaddrinfo and ip ask; others are audit, xfrm, … */, allow);
    program.give(deny);
  }
  for (const auto& [call, flags] :
       {std::pair<std::uint32_t, std::uint32_t>{__NR_unshare, new_namespaces}, {__NR_clone, clone_namespaces}}) {
    program.add(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 4);
    program.load(argument(0));
    program.add(BPF_JMP | BPF_JSET | BPF_K, flags, 0, 1);
    program.give(deny);
    program.give(allow);
  }
#ifdef __NR_modify_ldt
  program.give_if(__NR_modify_ldt, deny);
#endif
  // Asking for it is harmless; others switch randomised addresses off or make data executable.
  program.add(BPF_JMP | BPF_JEQ | BPF_K, __NR_personality, 0, 6);
  program.load(argument(0));
  program.give_if(0, allow);
  program.give_if(0xffffffff, allow);
  program.give(deny);
  program.add(BPF_JMP | BPF_JEQ | BPF_K, __NR_ioctl, 0, 6);
  program.load(argument(1));
  program.give_if(tiocsti, deny);
  program.give_if(tioclinux, deny);
  program.give(allow);
  program.give(allow);
  const sock_fprog filter = program.take();
  return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0;
}

}  // namespace bot_bottle::guest
