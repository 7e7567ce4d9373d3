// The bottle's self-test against walls with a hole: it has to find each by itself.
#include "sidecar/guest/selftest.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>

namespace bot_bottle::guest {
namespace {

bool put(const char* path, const std::string& text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  const bool written = fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (fd >= 0) ::close(fd);
  return written;
}

/// Namespaces of its own, so that no packet of the self-test's leaves and a user namespace below could be made.
bool enter_namespaces() {
  const std::string uid = std::to_string(::geteuid());
  const std::string gid = std::to_string(::getegid());
  return ::unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 && put("/proc/self/setgroups", "deny") &&
         put("/proc/self/uid_map", "0 " + uid + " 1") && put("/proc/self/gid_map", "0 " + gid + " 1");
}

bool refuse_unshare_alone() {
  std::array<sock_filter, 4> code{
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 1),
      sock_filter BPF_STMT(BPF_RET, SECCOMP_RET_ERRNO | EPERM),
      sock_filter BPF_STMT(BPF_RET, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = code.size(), .filter = code.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

TEST(Selftest, a_filter_that_refuses_unshare_alone_is_found) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::alarm(60);
    std::string said = "no namespaces here";
    if (enter_namespaces()) said = refuse_unshare_alone() ? selftest_json(run_selftest({})) : "no filter here";
    [[maybe_unused]] const ssize_t told = ::write(ends[1], said.data(), said.size());
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string said;
  std::array<char, 4096> bytes{};
  for (ssize_t got = 0; (got = ::read(ends[0], bytes.data(), bytes.size())) > 0;)
    said.append(bytes.data(), static_cast<std::size_t>(got));
  ::close(ends[0]);
  ::waitpid(pid, nullptr, 0);
  const char* ci = std::getenv("CI");  // there it must run
  if (said == "no namespaces here" && (ci == nullptr || std::string_view(ci) != "true"))
    GTEST_SKIP() << "this account may make no user namespace";
  EXPECT_THAT(said, ::testing::HasSubstr("a new user namespace can be made by clone\""));
  EXPECT_THAT(said, ::testing::HasSubstr("a new user namespace can be made by clone3\""));
  EXPECT_THAT(said, ::testing::Not(::testing::HasSubstr("a new user namespace can be made\""))) << "unshare is refused";
}

}  // namespace
}  // namespace bot_bottle::guest
