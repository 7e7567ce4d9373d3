// A system-call filter for backends that bring none (Linux on x86-64 and 64-bit ARM; needs no library). It is a list of
// what has broken sandboxes, so the kernel shows more of itself than behind an allow-list: say so in the plan.
#pragma once

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "bot_bottle/sdk/error.hpp"

namespace bot_bottle::sdk {

/// For the calling thread and whatever it starts, for good: no new privileges, and EPERM for the calls below. Meant for
/// a thread of its own that spawns the sandbox's first process. mount(2) and unshare(2) stay allowed for building it:
/// they need capabilities, which bottle-init drops, and new user namespaces are for the backend to forbid.
inline void forbid_dangerous_calls() {
#if defined(__x86_64__)
  constexpr unsigned arch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
  constexpr unsigned arch = AUDIT_ARCH_AARCH64;
#else
#error "no filter for this architecture"
#endif
  constexpr unsigned refuse = SECCOMP_RET_ERRNO | EPERM;
  constexpr unsigned x32 = 0x40000000;
  const auto load = [](unsigned at) -> sock_filter { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at); };
  const auto end = [](unsigned how) -> sock_filter { return BPF_STMT(BPF_RET, how); };
  // Goes on when the loaded word is `value`, else skips the next `n`.
  const auto is = [](unsigned value, unsigned char n) -> sock_filter {
    return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, n);
  };
  constexpr unsigned number_at = 0;  // offsets in seccomp_data; arguments: the low halves
  constexpr unsigned arch_at = 4;
  constexpr unsigned first_at = 16;
  constexpr unsigned second_at = 24;
  constexpr unsigned third_at = 32;
  std::vector<sock_filter> code{
      load(arch_at),   BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, arch, 1, 0), end(SECCOMP_RET_KILL_PROCESS),
      load(number_at), BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, x32, 0, 1),  end(refuse)};
  constexpr int memfd_secret = 447;  // younger than some headers; the same number everywhere
  for (const long call : {memfd_secret,
                          SYS_ptrace,
                          SYS_process_vm_readv,
                          SYS_process_vm_writev,
                          SYS_pidfd_getfd,
                          SYS_kcmp,
                          SYS_keyctl,
                          SYS_add_key,
                          SYS_request_key,
                          SYS_bpf,
                          SYS_perf_event_open,
                          SYS_userfaultfd,
                          SYS_io_uring_setup,
                          SYS_io_uring_enter,
                          SYS_io_uring_register,
                          SYS_open_by_handle_at,
                          SYS_setns,
                          SYS_syslog,
                          SYS_fanotify_init,
                          SYS_kexec_load,
                          SYS_init_module,
                          SYS_finit_module})
    code.insert(code.end(), {is(static_cast<unsigned>(call), 1), end(refuse)});
#if defined(__x86_64__)
  code.insert(code.end(), {is(SYS_modify_ldt, 1), end(refuse)});
#endif
  struct Argument {
    long call;
    unsigned at;
    unsigned value;
  };
  // Typing into the operator's terminal.
  for (const Argument& one : {Argument{SYS_ioctl, second_at, TIOCSTI}, Argument{SYS_ioctl, second_at, TIOCLINUX}})
    code.insert(code.end(),
                {load(number_at), is(static_cast<unsigned>(one.call), 3), load(one.at), is(one.value, 1), end(refuse)});
  // Families of sockets are a list of what is needed: others lead past the network namespace (AF_VSOCK: to the
  // hypervisor) or into parts of the kernel that are loaded for them. Of netlink it is NETLINK_ROUTE, 0.
  for (const long call : {SYS_socket, SYS_socketpair}) {
    code.insert(code.end(), {load(number_at), is(static_cast<unsigned>(call), 12), load(first_at)});
    for (const int family : {AF_UNIX, AF_INET, AF_INET6})
      code.insert(code.end(), {is(static_cast<unsigned>(family), 1), end(SECCOMP_RET_ALLOW)});
    code.insert(code.end(), {is(AF_NETLINK, 3), load(third_at), is(0, 1), end(SECCOMP_RET_ALLOW), end(refuse)});
  }
  // Executable stacks and no randomisation; 0 is what everything has, and all ones only asks.
  code.insert(code.end(),
              {load(number_at), is(SYS_personality, 4), load(first_at), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 2, 0),
               BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xffffffff, 1, 0), end(refuse)});
  code.push_back(end(SECCOMP_RET_ALLOW));
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    throw Error(Status::internal, std::string("the system-call filter cannot be set: ") + std::strerror(errno));
}

}  // namespace bot_bottle::sdk
