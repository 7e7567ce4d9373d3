#include "plugins/backend-local/seccomp.hpp"

#include <fcntl.h>
#include <linux/audit.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <memory>

namespace bot_bottle::backend_local {
namespace {

// What ordinary programs (shells, git, python, node, bun, JITs, compilers) use. Left out on purpose, besides everything
// that needs a capability: io_uring (attack C7: it does I/O behind the filter), clone3 (its flags are behind a pointer;
// ENOSYS makes libc use clone), ptrace and process_vm_* (C7), pidfd_getfd (C7), userfaultfd, keyctl and friends, bpf,
// perf_event_open, kcmp, the mount family old and new, unshare and setns, *_by_handle_at, personality but for reading;
// openat2, whose mode is behind a pointer (see the set-id rules below; programs fall back to openat).
constexpr const char* allowed[] = {"accept",
                                   "accept4",
                                   "access",
                                   "alarm",
                                   "arch_prctl",
                                   "bind",
                                   "brk",
                                   "capget",
                                   "capset",
                                   "chdir",
                                   "chmod",
                                   "chown",
                                   "clock_getres",
                                   "clock_gettime",
                                   "clock_nanosleep",
                                   "clone",
                                   "close",
                                   "close_range",
                                   "connect",
                                   "copy_file_range",
                                   "creat",
                                   "dup",
                                   "dup2",
                                   "dup3",
                                   "epoll_create",
                                   "epoll_create1",
                                   "epoll_ctl",
                                   "epoll_pwait",
                                   "epoll_pwait2",
                                   "epoll_wait",
                                   "eventfd",
                                   "eventfd2",
                                   "execve",
                                   "execveat",
                                   "exit",
                                   "exit_group",
                                   "faccessat",
                                   "faccessat2",
                                   "fadvise64",
                                   "fallocate",
                                   "fchdir",
                                   "fchmod",
                                   "fchmodat",
                                   "fchmodat2",
                                   "fchown",
                                   "fchownat",
                                   "fcntl",
                                   "fdatasync",
                                   "fgetxattr",
                                   "flistxattr",
                                   "flock",
                                   "fork",
                                   "fremovexattr",
                                   "fsetxattr",
                                   "fstat",
                                   "fstatfs",
                                   "fsync",
                                   "ftruncate",
                                   "futex",
                                   "futex_waitv",
                                   "futimesat",
                                   "get_mempolicy",
                                   "get_robust_list",
                                   "get_thread_area",
                                   "getcpu",
                                   "getcwd",
                                   "getdents",
                                   "getdents64",
                                   "getegid",
                                   "geteuid",
                                   "getgid",
                                   "getgroups",
                                   "getitimer",
                                   "getpeername",
                                   "getpgid",
                                   "getpgrp",
                                   "getpid",
                                   "getppid",
                                   "getpriority",
                                   "getrandom",
                                   "getresgid",
                                   "getresuid",
                                   "getrlimit",
                                   "getrusage",
                                   "getsid",
                                   "getsockname",
                                   "getsockopt",
                                   "gettid",
                                   "gettimeofday",
                                   "getuid",
                                   "getxattr",
                                   "inotify_add_watch",
                                   "inotify_init",
                                   "inotify_init1",
                                   "inotify_rm_watch",
                                   "ioctl",
                                   "ioprio_get",
                                   "ioprio_set",
                                   "kill",
                                   "landlock_add_rule",
                                   "landlock_create_ruleset",
                                   "landlock_restrict_self",
                                   "lchown",
                                   "lgetxattr",
                                   "link",
                                   "linkat",
                                   "listen",
                                   "listxattr",
                                   "llistxattr",
                                   "lremovexattr",
                                   "lseek",
                                   "lsetxattr",
                                   "lstat",
                                   "madvise",
                                   "mbind",
                                   "membarrier",
                                   "memfd_create",
                                   "mincore",
                                   "mkdir",
                                   "mkdirat",
                                   "mknod",
                                   "mknodat",
                                   "mlock",
                                   "mlock2",
                                   "mlockall",
                                   "mmap",
                                   "mprotect",
                                   "mremap",
                                   "msgctl",
                                   "msgget",
                                   "msgrcv",
                                   "msgsnd",
                                   "msync",
                                   "munlock",
                                   "munlockall",
                                   "munmap",
                                   "nanosleep",
                                   "newfstatat",
                                   "open",
                                   "openat",
                                   "pause",
                                   "pidfd_open",
                                   "pidfd_send_signal",
                                   "pipe",
                                   "pipe2",
                                   "pkey_alloc",
                                   "pkey_free",
                                   "pkey_mprotect",
                                   "poll",
                                   "ppoll",
                                   "prctl",
                                   "pread64",
                                   "preadv",
                                   "preadv2",
                                   "prlimit64",
                                   "pselect6",
                                   "pwrite64",
                                   "pwritev",
                                   "pwritev2",
                                   "read",
                                   "readahead",
                                   "readlink",
                                   "readlinkat",
                                   "readv",
                                   "recvfrom",
                                   "recvmmsg",
                                   "recvmsg",
                                   "remap_file_pages",
                                   "removexattr",
                                   "rename",
                                   "renameat",
                                   "renameat2",
                                   "restart_syscall",
                                   "rmdir",
                                   "rseq",
                                   "rt_sigaction",
                                   "rt_sigpending",
                                   "rt_sigprocmask",
                                   "rt_sigqueueinfo",
                                   "rt_sigreturn",
                                   "rt_sigsuspend",
                                   "rt_sigtimedwait",
                                   "rt_tgsigqueueinfo",
                                   "sched_get_priority_max",
                                   "sched_get_priority_min",
                                   "sched_getaffinity",
                                   "sched_getattr",
                                   "sched_getparam",
                                   "sched_getscheduler",
                                   "sched_rr_get_interval",
                                   "sched_setaffinity",
                                   "sched_setattr",
                                   "sched_setparam",
                                   "sched_setscheduler",
                                   "sched_yield",
                                   "seccomp",
                                   "select",
                                   "semctl",
                                   "semget",
                                   "semop",
                                   "semtimedop",
                                   "sendfile",
                                   "sendmmsg",
                                   "sendmsg",
                                   "sendto",
                                   "set_mempolicy",
                                   "set_robust_list",
                                   "set_thread_area",
                                   "set_tid_address",
                                   "setfsgid",
                                   "setfsuid",
                                   "setgid",
                                   "setgroups",
                                   "setitimer",
                                   "setpgid",
                                   "setpriority",
                                   "setregid",
                                   "setresgid",
                                   "setresuid",
                                   "setreuid",
                                   "setrlimit",
                                   "setsid",
                                   "setsockopt",
                                   "setuid",
                                   "setxattr",
                                   "shmat",
                                   "shmctl",
                                   "shmdt",
                                   "shmget",
                                   "shutdown",
                                   "sigaltstack",
                                   "signalfd",
                                   "signalfd4",
                                   "socketpair",
                                   "splice",
                                   "stat",
                                   "statfs",
                                   "statx",
                                   "symlink",
                                   "symlinkat",
                                   "sync",
                                   "sync_file_range",
                                   "syncfs",
                                   "sysinfo",
                                   "tee",
                                   "tgkill",
                                   "time",
                                   "timer_create",
                                   "timer_delete",
                                   "timer_getoverrun",
                                   "timer_gettime",
                                   "timer_settime",
                                   "timerfd_create",
                                   "timerfd_gettime",
                                   "timerfd_settime",
                                   "times",
                                   "tkill",
                                   "truncate",
                                   "umask",
                                   "uname",
                                   "unlink",
                                   "unlinkat",
                                   "utime",
                                   "utimensat",
                                   "utimes",
                                   "vfork",
                                   "vmsplice",
                                   "wait4",
                                   "waitid",
                                   "waitpid",
                                   "write",
                                   "writev"};

/// Refused with EPERM rather than ENOSYS: programs that probe for them say "not permitted", and so do people.
constexpr const char* refused[] = {"acct",
                                   "add_key",
                                   "adjtimex",
                                   "bpf",
                                   "chroot",
                                   "clock_adjtime",
                                   "clock_settime",
                                   "delete_module",
                                   "finit_module",
                                   "fsconfig",
                                   "fsmount",
                                   "fsopen",
                                   "fspick",
                                   "init_module",
                                   "ioperm",
                                   "iopl",
                                   "kcmp",
                                   "kexec_file_load",
                                   "kexec_load",
                                   "keyctl",
                                   "lookup_dcookie",
                                   "mount",
                                   "mount_setattr",
                                   "move_mount",
                                   "name_to_handle_at",
                                   "nfsservctl",
                                   "open_by_handle_at",
                                   "open_tree",
                                   "perf_event_open",
                                   "pidfd_getfd",
                                   "pivot_root",
                                   "process_madvise",
                                   "process_vm_readv",
                                   "process_vm_writev",
                                   "ptrace",
                                   "quotactl",
                                   "quotactl_fd",
                                   "reboot",
                                   "request_key",
                                   "setdomainname",
                                   "sethostname",
                                   "setns",
                                   "settimeofday",
                                   "swapoff",
                                   "swapon",
                                   "syslog",
                                   "umount2",
                                   "unshare",
                                   "userfaultfd",
                                   "vhangup",
                                   "vserver"};

struct Release {
  void operator()(void* context) const { seccomp_release(context); }
};
using Filter = std::unique_ptr<void, Release>;

/// Remembers the first failure, so that the rules below read as a list.
class Builder {
 public:
  explicit Builder(std::uint32_t default_action) : filter_(seccomp_init(default_action)) {
    if (!filter_) {
      code_ = -ENOMEM;
      return;
    }
    note(seccomp_attr_set(filter_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS));
    note(seccomp_attr_set(filter_.get(), SCMP_FLTATR_CTL_OPTIMIZE,
                          2));  // binary search instead of a list of 300 compares
  }
  /// A name that this architecture or libseccomp does not know is left out: the default action answers for it.
  void rule(std::uint32_t action, const char* name, std::initializer_list<scmp_arg_cmp> conditions = {}) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number < 0 || !filter_) return;
    note(seccomp_rule_add_array(filter_.get(), action, number, static_cast<unsigned>(conditions.size()),
                                conditions.begin()));
  }
  Result<UniqueFd> finish() {
    UniqueFd file(::memfd_create("bottle-seccomp", MFD_CLOEXEC));
    if (!file) return fail(error_from_errno("cannot make a memory file for the seccomp filter", errno));
    if (code_ == 0) note(seccomp_export_bpf(filter_.get(), file.get()));
    if (code_ != 0) return fail(error_from_errno("cannot build the seccomp filter", -code_));
    if (::lseek(file.get(), 0, SEEK_SET) != 0) return fail(error_from_errno("cannot rewind the seccomp filter", errno));
    return file;
  }

 private:
  void note(int code) {
    if (code_ == 0 && code < 0) code_ = code;
  }
  Filter filter_;
  int code_ = 0;
};

/// The kernel looks at the low 32 bits of an int argument: a comparison of all 64 would be passed by garbage above.
scmp_arg_cmp low_half_is(unsigned argument, std::uint32_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, 0xffffffffU, value};
}
scmp_arg_cmp has_bits(unsigned argument, std::uint64_t mask, std::uint64_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}
scmp_arg_cmp is(unsigned argument, std::uint64_t value) {
  return {argument, SCMP_CMP_EQ, value, 0};
}

constexpr std::uint64_t namespace_flags[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                             CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};

}  // namespace

std::span<const char* const> allowed_system_calls() {
  return allowed;
}

Result<std::vector<UniqueFd>> make_seccomp_programs(UserNamespaces user_namespaces) {
  const bool test_hole = user_namespaces == UserNamespaces::allowed_for_test;
  const std::uint32_t no = SCMP_ACT_ERRNO(EPERM);

  Builder list(SCMP_ACT_ERRNO(ENOSYS));
  for (const char* name : allowed) list.rule(SCMP_ACT_ALLOW, name);
  for (const char* name : refused) {
    if (test_hole && std::string_view(name) == "unshare")
      list.rule(SCMP_ACT_ALLOW, name);
    else
      list.rule(no, name);
  }
  list.rule(SCMP_ACT_ALLOW, "personality", {is(0, 0)});
  list.rule(SCMP_ACT_ALLOW, "personality", {is(0, 0xffffffff)});
  // A domain with garbage above its 32 bits equals none of these: ENOSYS.
  for (const std::uint64_t type : {std::uint64_t{SOCK_STREAM}, std::uint64_t{SOCK_DGRAM}})
    for (const std::uint64_t domain : {std::uint64_t{AF_UNIX}, std::uint64_t{AF_INET}, std::uint64_t{AF_INET6}})
      list.rule(SCMP_ACT_ALLOW, "socket", {is(0, domain), has_bits(1, 0xf, type)});
  list.rule(SCMP_ACT_ALLOW, "socket", {is(0, AF_UNIX), has_bits(1, 0xf, SOCK_SEQPACKET)});
  for (const std::uint64_t type : {std::uint64_t{SOCK_RAW}, std::uint64_t{SOCK_DGRAM}})  // getifaddrs(3)
    list.rule(SCMP_ACT_ALLOW, "socket", {is(0, AF_NETLINK), has_bits(1, 0xf, type), low_half_is(2, 0)});

  Builder exceptions(SCMP_ACT_ALLOW);
  // Injects into the terminal's input queue (CVE-2017-5226 and its console sister).
  for (const std::uint32_t request : {std::uint32_t{TIOCSTI}, std::uint32_t{TIOCLINUX}})
    exceptions.rule(no, "ioctl", {low_half_is(1, request)});
#if defined(__s390__)
  constexpr unsigned clone_flags = 1;
#else
  constexpr unsigned clone_flags = 0;
#endif
  for (const std::uint64_t flag : namespace_flags)
    if (!test_hole || flag != CLONE_NEWUSER) exceptions.rule(no, "clone", {has_bits(clone_flags, flag, flag)});
  exceptions.rule(SCMP_ACT_ERRNO(EAFNOSUPPORT), "socket", {{0, SCMP_CMP_GT, AF_NETLINK, 0}});  // PACKET, ALG, VSOCK, …
  for (const std::uint64_t domain : {std::uint64_t{AF_INET}, std::uint64_t{AF_INET6}})
    exceptions.rule(no, "socket", {is(0, domain), has_bits(1, 0xf, SOCK_RAW)});
  // A set-id file in a tree that the host shares with the bottle would lend the operator's rights to whoever runs it
  // there (as root, root's). Nothing inside needs one: the bottle's mounts are nosuid.
  for (const std::uint64_t bit : {std::uint64_t{S_ISUID}, std::uint64_t{S_ISGID}}) {
    exceptions.rule(no, "chmod", {has_bits(1, bit, bit)});
    exceptions.rule(no, "fchmod", {has_bits(1, bit, bit)});
    exceptions.rule(no, "fchmodat", {has_bits(2, bit, bit)});
    exceptions.rule(no, "fchmodat2", {has_bits(2, bit, bit)});
    exceptions.rule(no, "creat", {has_bits(1, bit, bit)});
    exceptions.rule(no, "mknod", {has_bits(1, bit, bit)});
    exceptions.rule(no, "mknodat", {has_bits(2, bit, bit)});
    for (const std::uint64_t creates :
         {std::uint64_t{O_CREAT}, std::uint64_t{O_TMPFILE & ~O_DIRECTORY}}) {  // else the mode is not looked at
      exceptions.rule(no, "open", {has_bits(1, creates, creates), has_bits(2, bit, bit)});
      exceptions.rule(no, "openat", {has_bits(2, creates, creates), has_bits(3, bit, bit)});
    }
  }
  // A device node cannot be made without a capability; here it cannot be asked for either (attack H8).
  for (const char* name : {"mknod", "mknodat"}) {
    const unsigned mode = std::string_view(name) == "mknod" ? 1 : 2;
    for (const std::uint64_t kind : {std::uint64_t{0020000}, std::uint64_t{0060000}})
      exceptions.rule(no, name, {has_bits(mode, 0170000, kind)});
  }

  std::vector<UniqueFd> programs;
  BB_TRY(UniqueFd first, list.finish());
  programs.push_back(std::move(first));
  BB_TRY(UniqueFd second, exceptions.finish());
  programs.push_back(std::move(second));
  return programs;
}

}  // namespace bot_bottle::backend_local
