// The engine's filter says what local's two programs say: asked by evaluating the profile as the kernel would.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>

#include "plugins/backend-docker/seccomp_profile.hpp"

namespace bot_bottle::backend_docker {
namespace {

bool is_allowed(const json::object& profile, std::string_view call, std::array<std::uint64_t, 6> arguments) {
  for (const json::value& value : *find_array(profile, "syscalls")) {
    const json::object& rule = value.as_object();
    bool named = false;
    for (const json::value& name : rule.at("names").as_array()) named = named || name.as_string() == call;
    if (!named || get_string(rule, "action") != "SCMP_ACT_ALLOW") continue;
    bool holds = true;
    if (const json::array* conditions = find_array(rule, "args"))
      for (const json::value& each : *conditions) {
        const json::object& condition = each.as_object();
        const std::uint64_t given = arguments.at(condition.at("index").to_number<std::size_t>());
        const auto wanted = condition.at("value").to_number<std::uint64_t>();
        holds = holds && (get_string(condition, "op") == "SCMP_CMP_EQ"
                              ? given == wanted
                              : (given & wanted) == condition.at("valueTwo").to_number<std::uint64_t>());
      }
    if (holds) return true;
  }
  return false;
}

TEST(SeccompProfile, lets_ordinary_calls_through_and_nothing_that_is_not_listed) {
  const json::object profile = make_seccomp_profile();
  for (const char* name : {"read", "execve", "futex", "landlock_restrict_self", "accept4"})
    EXPECT_TRUE(is_allowed(profile, name, {})) << name;
  for (const char* name : {"ptrace", "mount", "bpf", "keyctl", "userfaultfd", "unshare", "setns", "io_uring_setup",
                           "clone3", "openat2", "perf_event_open", "process_vm_readv"})
    EXPECT_FALSE(is_allowed(profile, name, {})) << name;
  EXPECT_EQ(get_string(profile, "defaultAction"), "SCMP_ACT_ERRNO");
}

TEST(SeccompProfile, refuses_the_two_requests_that_type_into_a_terminal_and_no_other) {
  const json::object profile = make_seccomp_profile();
  for (const std::uint64_t request : {std::uint64_t{TIOCSTI}, std::uint64_t{TIOCLINUX}}) {
    EXPECT_FALSE(is_allowed(profile, "ioctl", {0, request}));
    EXPECT_FALSE(is_allowed(profile, "ioctl", {0, request | (1ULL << 40)}));  // the kernel looks at the low half
  }
  for (std::uint64_t bit = 0; bit < 32; ++bit)
    for (const std::uint64_t near : {std::uint64_t{TIOCSTI}, std::uint64_t{TIOCLINUX}})
      EXPECT_TRUE(is_allowed(profile, "ioctl", {0, near ^ (1ULL << bit)})) << bit;
  EXPECT_TRUE(is_allowed(profile, "ioctl", {0, TIOCGWINSZ}));
}

TEST(SeccompProfile, gives_no_namespace_no_odd_socket_no_set_id_file_and_no_device) {
  const json::object profile = make_seccomp_profile();
  EXPECT_TRUE(is_allowed(profile, "clone", {CLONE_VM | CLONE_FS}));
  for (const unsigned flag :
       {unsigned{CLONE_NEWUSER}, unsigned{CLONE_NEWNET}, unsigned{CLONE_NEWNS}, unsigned{CLONE_NEWPID}})
    EXPECT_FALSE(is_allowed(profile, "clone", {flag}));
  EXPECT_TRUE(is_allowed(profile, "socket", {AF_INET, SOCK_STREAM | SOCK_CLOEXEC}));
  for (const unsigned family : {unsigned{AF_PACKET}, unsigned{AF_VSOCK}, unsigned{AF_ALG}, unsigned{AF_BLUETOOTH}})
    EXPECT_FALSE(is_allowed(profile, "socket", {family, SOCK_DGRAM}));
  EXPECT_FALSE(is_allowed(profile, "socket", {AF_INET, SOCK_RAW}));
  EXPECT_TRUE(is_allowed(profile, "chmod", {0, 0755}));
  EXPECT_FALSE(is_allowed(profile, "chmod", {0, 04755}));
  EXPECT_FALSE(is_allowed(profile, "fchmodat", {0, 0, 02755}));
  EXPECT_TRUE(is_allowed(profile, "openat", {0, 0, O_RDONLY, 04755}));
  EXPECT_TRUE(is_allowed(profile, "openat", {0, 0, O_CREAT, 0644}));
  EXPECT_FALSE(is_allowed(profile, "openat", {0, 0, O_CREAT, 04755}));
  EXPECT_FALSE(is_allowed(profile, "mknodat", {0, 0, S_IFCHR | 0600}));
  EXPECT_TRUE(is_allowed(profile, "mknodat", {0, 0, S_IFIFO | 0600}));
}

}  // namespace
}  // namespace bot_bottle::backend_docker
