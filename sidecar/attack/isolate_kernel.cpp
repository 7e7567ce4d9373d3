// 5.30 to 5.39: system calls that a bottle has no use for (C7, H5, H8). Each runs in a process of its own; arguments
// are such that success changes nothing that matters.
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/base/unique_fd.hpp"
#include "sidecar/attack/probe.hpp"

namespace bot_bottle::attack {
namespace {

using Call = long (*)();

long mount_tmpfs() {
  ::mkdir("/tmp/attack-mount", 0700);
  const long result = ::mount("none", "/tmp/attack-mount", "tmpfs", 0, "size=4k");
  const int number = errno;
  if (result == 0) ::umount2("/tmp/attack-mount", MNT_DETACH);
  ::rmdir("/tmp/attack-mount");
  errno = number;
  return result;
}

void add_mounts(std::vector<Attempt>& out) {
  Subject mounts(out, "5.30", "seccomp");
  const std::pair<const char*, Call> calls[] = {
      {"mount a tmpfs", mount_tmpfs},
      {"remount / writable (H5)", [] { return long{::mount("none", "/", nullptr, MS_REMOUNT | MS_BIND, nullptr)}; }},
      {"remount /usr writable (H5)",
       [] { return long{::mount("none", "/usr", nullptr, MS_REMOUNT | MS_BIND, nullptr)}; }},
      {"bind mount", [] { return long{::mount("/tmp", "/tmp", nullptr, MS_BIND, nullptr)}; }},
      {"unmount what hides something", [] { return long{::umount2("/proc", MNT_DETACH)}; }},
      {"new mount API: fsopen (C7)", [] { return ::syscall(SYS_fsopen, "tmpfs", 0); }},
      {"new mount API: fspick (C7)", [] { return ::syscall(SYS_fspick, AT_FDCWD, "/", 0); }},
      {"new mount API: open_tree with a clone (C7)",
       [] { return ::syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */); }},
      {"new mount API: move_mount (C7)",
       [] { return ::syscall(SYS_move_mount, AT_FDCWD, "/tmp", AT_FDCWD, "/tmp", 0); }},
      {"new mount API: mount_setattr (C7)",
       [] {
         std::array<std::uint64_t, 4> attributes{};
         return ::syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, attributes.data(),
                          attributes.size() * sizeof(std::uint64_t));
       }},
      {"new mount API: fsmount (C7)", [] { return ::syscall(SYS_fsmount, -1, 0, 0); }},
      {"pivot_root", [] { return ::syscall(SYS_pivot_root, "/tmp", "/tmp"); }},
      {"swapon", [] { return long{::swapon("/tmp/nothing", 0)}; }},
  };
  for (const auto& [text, call] : calls)
    mounts.add(text, [call = call](const Context&) {
      errno = 0;
      return judge_privileged(call());
    });
}

long clone_with(unsigned long flags) {
  const long pid = ::syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (pid == 0) ::_exit(0);
  const int number = errno;
  if (pid > 0) ::waitpid(static_cast<pid_t>(pid), nullptr, 0);
  errno = number;
  return pid;
}

long clone3_with(std::uint64_t flags) {
  struct {
    std::uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
  } arguments{};
  arguments.flags = flags;
  arguments.exit_signal = SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid == 0) ::_exit(0);
  const int number = errno;
  if (pid > 0) ::waitpid(static_cast<pid_t>(pid), nullptr, 0);
  errno = number;
  return pid;
}

long join_namespace(const char* path) {
  UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  return fd ? ::setns(fd.get(), 0) : -1;
}

void add_namespaces(std::vector<Attempt>& out) {
  Subject namespaces(out, "5.31", "seccomp");
  const std::pair<const char*, Call> calls[] = {
      {"unshare a user namespace", [] { return long{::unshare(CLONE_NEWUSER)}; }},
      {"unshare mount and network namespaces", [] { return long{::unshare(CLONE_NEWNS | CLONE_NEWNET)}; }},
      {"clone into a new user namespace", [] { return clone_with(CLONE_NEWUSER); }},
      {"clone into new user, mount and network namespaces",
       [] { return clone_with(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET); }},
      {"clone3 into a new user namespace (C7)", [] { return clone3_with(CLONE_NEWUSER); }},
      {"setns into the network namespace of pid 1", [] { return join_namespace("/proc/1/ns/net"); }},
      {"setns into the mount namespace of pid 1", [] { return join_namespace("/proc/1/ns/mnt"); }},
      {"setns into the own user namespace", [] { return join_namespace("/proc/self/ns/user"); }},
      {"setns by pidfd of pid 1",
       [] {
         UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, 1, 0)));
         return pidfd ? ::syscall(SYS_setns, pidfd.get(), CLONE_NEWNET | CLONE_NEWNS) : -1L;
       }},
  };
  for (const auto& [text, call] : calls)
    namespaces.add(text, [call = call](const Context&) {
      errno = 0;
      // ENOSPC and EUSERS: user.max_user_namespaces is 0 in here.
      return judge_call(call(), {EPERM, EACCES, ENOSYS, ENOSPC, EUSERS, EINVAL});
    });
}

void add_calls(std::vector<Attempt>& out) {
  Subject calls_(out, "5.32", "seccomp");
  static std::array<char, 4096> scratch{};
  const std::pair<const char*, Call> calls[] = {
      {"init_module", [] { return ::syscall(SYS_init_module, scratch.data(), 0, ""); }},
      {"finit_module", [] { return ::syscall(SYS_finit_module, -1, "", 0); }},
      {"delete_module", [] { return ::syscall(SYS_delete_module, "bottle_attack_nothing", O_NONBLOCK); }},
      {"kexec_load", [] { return ::syscall(SYS_kexec_load, 0, 0, nullptr, 1UL << 40); }},
      {"kexec_file_load", [] { return ::syscall(SYS_kexec_file_load, -1, -1, 0, "", 1UL << 40); }},
      {"reboot", [] { return ::syscall(SYS_reboot, 0, 0, 0, nullptr); }},
      {"bpf (C7)",
       [] {
         bpf_attr attributes{};
         attributes.map_type = BPF_MAP_TYPE_ARRAY;
         attributes.key_size = attributes.value_size = 4;
         attributes.max_entries = 1;
         return ::syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes);
       }},
      {"perf_event_open (C7)",
       [] {
         perf_event_attr attributes{};
         attributes.size = sizeof attributes;
         attributes.type = PERF_TYPE_SOFTWARE;
         attributes.config = PERF_COUNT_SW_CPU_CLOCK;
         return ::syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0);
       }},
      {"keyctl: the session's keyring", [] { return ::syscall(SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, -3, 1); }},
      {"keyctl: the user's keyring", [] { return ::syscall(SYS_keyctl, 0, -4, 1); }},
      {"add_key", [] { return ::syscall(SYS_add_key, "user", "bottle-attack", "x", 1, -2); }},
      {"request_key", [] { return ::syscall(SYS_request_key, "user", "bottle-attack", nullptr, 0); }},
      {"userfaultfd (C7)", [] { return ::syscall(SYS_userfaultfd, O_CLOEXEC | 1); }},
      {"io_uring_setup (C7)",
       [] {
         std::array<char, 256> parameters{};
         return ::syscall(SYS_io_uring_setup, 1, parameters.data());
       }},
      {"io_uring_enter (C7)", [] { return ::syscall(SYS_io_uring_enter, -1, 0, 0, 0, nullptr, 0); }},
      {"io_uring_register (C7)", [] { return ::syscall(SYS_io_uring_register, -1, 0, nullptr, 0); }},
      {"open_by_handle_at: shocker (H4)",
       [] {
         struct {
           unsigned handle_bytes = 8;
           int handle_type = 1;                     // FILEID_INO32_GEN
           std::array<unsigned char, 8> octets{2};  // the inode of a file system's root
         } handle;
         return ::syscall(SYS_open_by_handle_at, AT_FDCWD, &handle, O_RDONLY);
       }},
      {"fanotify_init", [] { return ::syscall(SYS_fanotify_init, 0x4, 0); }},
      {"read the kernel's log", [] { return ::syscall(SYS_syslog, 3, scratch.data(), scratch.size()); }},
      {"acct", [] { return ::syscall(SYS_acct, "/tmp/nothing"); }},
      {"sethostname", [] { return long{::sethostname("bottle", 6)}; }},
      {"set the clock",
       [] {
         timespec now{};
         ::clock_gettime(CLOCK_REALTIME, &now);
         return ::syscall(SYS_clock_settime, CLOCK_REALTIME, &now);
       }},
      {"vhangup", [] { return ::syscall(SYS_vhangup); }},
      {"lookup_dcookie", [] { return ::syscall(SYS_lookup_dcookie, 0UL, scratch.data(), scratch.size()); }},
      {"memfd_secret", [] { return ::syscall(447, 0); }},
      {"personality: executable stacks, no randomisation",
       [] { return long{::personality(ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC)}; }},
#ifdef __x86_64__
      {"iopl", [] { return ::syscall(SYS_iopl, 3); }},
      {"ioperm", [] { return ::syscall(SYS_ioperm, 0x80, 1, 1); }},
      {"modify_ldt", [] { return ::syscall(SYS_modify_ldt, 0, scratch.data(), 16); }},
#endif
  };
  for (const auto& [text, call] : calls)
    calls_.add(text, [call = call](const Context&) {
      errno = 0;
      return judge_privileged(call());
    });
  calls_.add("a seccomp filter is in force", [](const Context&) {
    const std::string text = read_start("/proc/self/status", 65536);
    return text.find("\nSeccomp:\t2") != std::string::npos ? blocked("mode 2") : escaped("none");
  });
}

/// A terminal of its own, so that the answer is the filter's and not "no terminal".
Outcome ioctl_on_terminal(unsigned long number, void* argument) {
  UniqueFd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!master || ::grantpt(master.get()) != 0 || ::unlockpt(master.get()) != 0)
    return judge_call(-1, {EPERM, EACCES, ENOENT, ENOSPC, ENOSYS});
  std::array<char, 64> name{};
  ::ptsname_r(master.get(), name.data(), name.size());
  ::setsid();
  UniqueFd terminal(::open(name.data(), O_RDWR | O_CLOEXEC));
  if (!terminal) return failed(std::string("open ") + name.data() + ": " + errno_name(errno));
  ::ioctl(terminal.get(), TIOCSCTTY, 0);
  return judge_call(::ioctl(terminal.get(), number, argument), {EPERM, EACCES, EIO, ENOTTY, EINVAL, ENOSYS});
}

void add_terminal(std::vector<Attempt>& out) {
  Subject terminal(out, "5.33", "seccomp");
  static std::array<char, 2> text{'x', 0};
  terminal.add("TIOCSTI: type into a terminal", [](const Context&) { return ioctl_on_terminal(TIOCSTI, text.data()); });
  terminal.add("TIOCSTI with high bits set in the request number",
               [](const Context&) { return ioctl_on_terminal(TIOCSTI | (1UL << 32), text.data()); });
  terminal.add("TIOCLINUX: paste into a terminal",
               [](const Context&) { return ioctl_on_terminal(TIOCLINUX, text.data()); });
  terminal.add("TIOCSTI into the descriptors that were given", [](const Context&) {
    for (int fd = 0; fd <= 2; ++fd)
      if (::isatty(fd) != 0 && ::ioctl(fd, TIOCSTI, text.data()) == 0)
        return escaped("typed into descriptor " + std::to_string(fd));
    return blocked("EPERM or no terminal");
  });
  terminal.add("take the operator's terminal (TIOCSCTTY, /dev/tty)", [](const Context&) {
    ::setsid();
    for (int fd = 0; fd <= 2; ++fd)
      if (::isatty(fd) != 0 && ::ioctl(fd, TIOCSCTTY, 1) == 0) return escaped("took descriptor " + std::to_string(fd));
    return open_path("/dev/tty", O_RDWR);
  });
}

#ifdef __x86_64__
long call_i386(long number, long first) {
  long result = 0;
  asm volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first) : "memory", "r8", "r9", "r10", "r11");
  if (result < 0) {
    errno = static_cast<int>(-result);
    return -1;
  }
  return result;
}

void add_other_abis(std::vector<Attempt>& out) {
  constexpr long x32 = 0x40000000;
  Subject abis(out, "5.34", "seccomp");
  const std::pair<const char*, Call> calls[] = {
      {"x32: unshare a user namespace", [] { return ::syscall(x32 + SYS_unshare, CLONE_NEWUSER); }},
      {"x32: keyctl", [] { return ::syscall(x32 + SYS_keyctl, 0, -3, 1); }},
      {"x32: getpid", [] { return ::syscall(x32 + SYS_getpid); }},
      {"i386: unshare a user namespace", [] { return call_i386(310, CLONE_NEWUSER); }},
      {"i386: getpid", [] { return call_i386(20, 0); }},
  };
  for (const auto& [text, call] : calls)
    abis.add(std::string("another ABI: ") + text, [call = call](const Context&) {
      errno = 0;
      return judge_privileged(call());
    });
}
#else
void add_other_abis(std::vector<Attempt>&) {}
#endif

}  // namespace

void add_isolate_kernel(std::vector<Attempt>& out, const Context&) {
  add_mounts(out);
  add_namespaces(out);
  add_calls(out);
  add_terminal(out);
  add_other_abis(out);
}

}  // namespace bot_bottle::attack
