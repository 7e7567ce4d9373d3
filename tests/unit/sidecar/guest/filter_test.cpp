// The filter of system calls that bottle-init puts on itself: tried in a child, for it never goes away again.
#include "sidecar/guest/filter.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <functional>
#include <string>
#include <vector>

namespace bot_bottle::guest {
namespace {

/// What `body` says behind the filter; it must not need gtest, which is the parent's.
std::string filtered(const std::function<std::string()>& body) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe(ends.data()), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::alarm(30);
    std::string said = "the filter was not taken";
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && install_filter()) said = body();
    [[maybe_unused]] const ssize_t told = ::write(ends[1], said.data(), said.size());
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string said;
  std::array<char, 4096> bytes{};
  for (ssize_t got = 0; (got = ::read(ends[0], bytes.data(), bytes.size())) > 0;)
    said.append(bytes.data(), static_cast<std::size_t>(got));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? said : "killed by signal " + std::to_string(WTERMSIG(status));
}

struct Tried {
  const char* name;
  std::function<long()> call;
  int expected;  // errno
};

std::string wrong_ones(const std::vector<Tried>& list) {
  std::string wrong;
  for (const Tried& tried : list) {
    errno = 0;
    const long answer = tried.call();
    if (answer != -1 || errno != tried.expected)
      wrong += std::string(tried.name) + " says " + std::to_string(errno) + "; ";
  }
  return wrong;
}

TEST(Filter, what_leads_out_or_into_the_kernels_less_trodden_parts_is_refused) {
  EXPECT_EQ(
      filtered([] {
        return wrong_ones({
            {"vsock", [] { return long{::socket(AF_VSOCK, SOCK_STREAM, 0)}; }, EPERM},
            {"packet socket", [] { return long{::socket(AF_PACKET, SOCK_DGRAM, 0)}; }, EPERM},
            {"AF_ALG", [] { return long{::socket(AF_ALG, SOCK_SEQPACKET, 0)}; }, EPERM},
            {"netlink to audit", [] { return long{::socket(AF_NETLINK, SOCK_RAW, 9)}; }, EPERM},
            {"netlink to netfilter", [] { return long{::socket(AF_NETLINK, SOCK_RAW, 12)}; }, EPERM},
            {"user namespace", [] { return long{::unshare(CLONE_NEWUSER)}; }, EPERM},
            {"network namespace", [] { return long{::unshare(CLONE_NEWNET)}; }, EPERM},
            {"clone into a namespace", [] { return ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0L, 0L, 0L, 0L); },
             EPERM},
            {"clone3", [] { return ::syscall(435L, nullptr, 0L); }, ENOSYS},
            {"mount", [] { return long{::mount("none", "/tmp", "tmpfs", 0, nullptr)}; }, EPERM},
            {"open_tree", [] { return ::syscall(428L, -1L, "", 0L); }, EPERM},
            {"ptrace", [] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); }, EPERM},
            {"keyctl", [] { return ::syscall(SYS_keyctl, -1L, 0L, 0L, 0L, 0L); }, EPERM},
            {"bpf", [] { return ::syscall(SYS_bpf, -1L, nullptr, 0L); }, EPERM},
            {"io_uring", [] { return ::syscall(425L, 0L, nullptr); }, EPERM},
            {"memfd_secret", [] { return ::syscall(447L, 0L); }, EPERM},
            {"personality", [] { return ::syscall(SYS_personality, 0x0040000L); }, EPERM},
            {"TIOCSTI", [] { return long{::ioctl(-1, TIOCSTI, "")}; }, EPERM},
            // The kernel looks at the low half alone, and so does the filter.
            {"TIOCSTI with a high half", [] { return ::syscall(SYS_ioctl, -1L, 0x100000000L | TIOCSTI, ""); }, EPERM},
        });
      }),
      "");
}

#ifdef SYS_modify_ldt
TEST(Filter, segments_of_ones_own_are_refused) {
  const std::vector<Tried> list{{"modify_ldt", [] { return ::syscall(SYS_modify_ldt, 0L, nullptr, 0L); }, EPERM}};
  EXPECT_EQ(filtered([&] { return wrong_ones(list); }), "");
}
#endif

TEST(Filter, what_programs_do_works) {
  EXPECT_EQ(filtered([]() -> std::string {
              for (const int family : {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK}) {
                const int fd = ::socket(family, family == AF_NETLINK ? SOCK_RAW : SOCK_STREAM, 0);
                if (fd < 0 && errno == EPERM) return "family " + std::to_string(family);
                ::close(fd);
              }
              if (::unshare(CLONE_FILES) != 0) return "unshare(CLONE_FILES)";
              if (::syscall(SYS_personality, 0xffffffffL) != 0 || ::syscall(SYS_personality, 0L) != 0)
                return "personality, asked for";
              const pid_t pid = ::fork();
              if (pid == 0) {
                ::execl("/bin/sh", "sh", "-c", "x=$(echo sub | cat); [ \"$x\" = sub ]", nullptr);
                ::_exit(1);
              }
              int status = 0;
              ::waitpid(pid, &status, 0);
              return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "" : "a shell with a pipe";
            }),
            "");
}

}  // namespace
}  // namespace bot_bottle::guest
