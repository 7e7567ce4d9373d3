// The filters, installed in a child and tried out: what is refused, and with what.
#include "plugins/backend-local/seccomp.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <vector>

namespace bot_bottle::backend_local {
namespace {

bool install(int fd) {
  std::vector<sock_filter> program(8192);
  const ssize_t got = ::read(fd, program.data(), program.size() * sizeof(sock_filter));
  if (got <= 0) return false;
  sock_fprog whole{.len = static_cast<unsigned short>(static_cast<std::size_t>(got) / sizeof(sock_filter)),
                   .filter = program.data()};
  return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole, 0, 0) == 0;
}

/// The errno of `attempt` under the filters; 0: it worked; 1000 + signal: it was killed.
int errno_of(const std::function<long()>& attempt, UserNamespaces user_namespaces = UserNamespaces::refused) {
  const auto programs = make_seccomp_programs(user_namespaces);
  if (!programs) return -1;
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    for (const UniqueFd& program : *programs)
      if (!install(program.get())) ::_exit(251);
    errno = 0;
    ::_exit(attempt() >= 0 ? 0 : errno);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

TEST(Seccomp, C7_what_reaches_other_processes_or_the_kernel_is_refused) {
  for (const long number : std::initializer_list<long>{SYS_ptrace,
                                                       SYS_process_vm_readv,
                                                       SYS_process_vm_writev,
                                                       SYS_keyctl,
                                                       SYS_add_key,
                                                       SYS_request_key,
                                                       SYS_bpf,
                                                       SYS_userfaultfd,
                                                       SYS_perf_event_open,
                                                       SYS_kcmp,
                                                       SYS_unshare,
                                                       SYS_setns,
                                                       SYS_mount,
                                                       SYS_umount2,
                                                       SYS_pivot_root,
                                                       SYS_chroot,
                                                       SYS_open_by_handle_at,
                                                       SYS_name_to_handle_at,
                                                       SYS_kexec_load,
                                                       SYS_init_module,
                                                       SYS_finit_module,
                                                       SYS_swapon,
                                                       SYS_reboot,
                                                       SYS_quotactl,
                                                       SYS_acct,
                                                       SYS_settimeofday,
                                                       428L /* open_tree */,
                                                       430L /* fsopen */,
                                                       438L /* pidfd_getfd */})
    EXPECT_EQ(errno_of([number] { return ::syscall(number, 0, 0, 0, 0, 0); }), EPERM) << number;
  for (const long number : std::initializer_list<long>{425L /* io_uring_setup */, 426L, 427L, 435L /* clone3 */, 5000L})
    EXPECT_EQ(errno_of([number] { return ::syscall(number, 0, 0, 0, 0, 0); }), ENOSYS) << number;
}

TEST(Seccomp, C6_only_the_wanted_sockets_open) {
  const auto opens = [](long domain, long type, long protocol) {
    return errno_of([=] { return ::syscall(SYS_socket, domain, type, protocol); });
  };
  EXPECT_EQ(opens(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), 0);
  EXPECT_EQ(opens(AF_UNIX, SOCK_SEQPACKET, 0), 0);
  EXPECT_EQ(opens(AF_INET, SOCK_STREAM, 0), 0);
  EXPECT_EQ(opens(AF_INET6, SOCK_DGRAM, 0), 0);
  EXPECT_EQ(opens(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0), 0);
  for (const long family : {AF_PACKET, AF_VSOCK, AF_ALG, AF_BLUETOOTH, AF_XDP})
    EXPECT_NE(opens(family, SOCK_DGRAM, 0), 0) << family;
  EXPECT_EQ(opens(AF_INET, SOCK_RAW, 1), EPERM);
  EXPECT_EQ(opens(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, 58), EPERM);
  EXPECT_NE(opens(AF_NETLINK, SOCK_RAW, 9 /* audit */), 0);
  // The kernel reads 32 bits; garbage above must not hide the family.
  EXPECT_NE(opens((1L << 32) | AF_PACKET, SOCK_DGRAM, 0), 0);
  EXPECT_NE(opens((1L << 32) | AF_INET, SOCK_RAW, 0), 0);
}

TEST(Seccomp, no_input_is_faked_into_a_terminal_whatever_the_upper_half_says) {
  for (const unsigned long request : {static_cast<unsigned long>(TIOCSTI), static_cast<unsigned long>(TIOCLINUX),
                                      static_cast<unsigned long>(TIOCSTI) | (1UL << 32)})
    EXPECT_EQ(errno_of([request] { return ::syscall(SYS_ioctl, -1, request, 0); }), EPERM);
  EXPECT_EQ(errno_of([] { return ::syscall(SYS_ioctl, -1, TIOCGWINSZ, 0); }), EBADF);
}

TEST(Seccomp, processes_start_but_namespaces_do_not) {
  EXPECT_EQ(errno_of([] {
              const pid_t pid = ::fork();
              if (pid == 0) ::_exit(0);
              int status = 1;
              return ::waitpid(pid, &status, 0) == pid && status == 0 ? 0L : -1L;
            }),
            0);
  for (const long flag : std::initializer_list<long>{CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID,
                                                     CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP})
    EXPECT_EQ(errno_of([flag] { return ::syscall(SYS_clone, flag | SIGCHLD, 0, 0, 0, 0); }), EPERM) << flag;
}

TEST(Seccomp, no_set_id_bit_and_no_device_can_be_asked_for) {
  const char* const path = "/tmp/bb-no-such-directory/x";
  for (const long bits : {04755L, 02755L}) {
    EXPECT_EQ(errno_of([=] { return ::syscall(SYS_chmod, path, bits); }), EPERM);
    EXPECT_EQ(errno_of([=] { return ::syscall(SYS_fchmod, -1, bits); }), EPERM);
    EXPECT_EQ(errno_of([=] { return ::syscall(SYS_fchmodat, AT_FDCWD, path, bits); }), EPERM);
    EXPECT_EQ(errno_of([=] { return ::syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT, bits); }), EPERM);
    EXPECT_EQ(errno_of([=] { return ::syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_TMPFILE, bits); }), EPERM);
    EXPECT_EQ(errno_of([=] { return ::syscall(SYS_openat, AT_FDCWD, path, O_RDONLY, bits); }),
              ENOENT);  // not looked at
  }
  EXPECT_EQ(errno_of([=] { return ::syscall(SYS_chmod, path, 0755); }), ENOENT);
  EXPECT_EQ(errno_of([=] { return ::syscall(437L /* openat2 */, AT_FDCWD, path, nullptr, 0); }), ENOSYS);
  EXPECT_EQ(errno_of([=] { return ::syscall(SYS_mknodat, AT_FDCWD, path, 0020600L, 0); }), EPERM);
  EXPECT_EQ(errno_of([=] { return ::syscall(SYS_mknodat, AT_FDCWD, path, 0060600L, 0); }), EPERM);
}

TEST(Seccomp, personality_can_only_be_read) {
  EXPECT_EQ(errno_of([] { return ::syscall(SYS_personality, 0xffffffffUL); }), 0);
  EXPECT_NE(errno_of([] { return ::syscall(SYS_personality, 0x0400000UL /* READ_IMPLIES_EXEC */); }), 0);
}

#if defined(__x86_64__)
TEST(Seccomp, the_other_abis_of_the_machine_are_death) {
  EXPECT_EQ(errno_of([] { return ::syscall(0x40000000L + 39 /* getpid of x32 */); }), 1000 + SIGSYS);
  EXPECT_EQ(errno_of([] {
              long result = 20;  // getpid of i386
              __asm__ volatile("int $0x80" : "+a"(result) : : "memory");
              return result;
            }),
            1000 + SIGSYS);
}
#endif

}  // namespace
}  // namespace bot_bottle::backend_local
