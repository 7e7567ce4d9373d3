// The text alone: what macOS makes of it was not seen.
#include "plugins/backend-driven/sidecar_profile.hpp"

#include <gtest/gtest.h>

#include "core/base/text.hpp"

namespace bot_bottle::driven {
namespace {

std::string profile_of(bool has_git_gate) {
  return sidecar_profile({.slug = "box", .state_dir = "/s/box", .has_git_gate = has_git_gate}, "/i/libexec", "/i/share",
                         "/D/Tools");
}

std::vector<std::string> rules_with(const std::string& text, std::string_view word) {
  std::vector<std::string> found;
  for (const std::string_view line : split(text, '\n'))
    if (line.find(word) != std::string_view::npos) found.emplace_back(line);
  return found;
}

TEST(SidecarProfile, its_network_is_ip_names_and_its_own_sockets) {
  using Rules = std::vector<std::string>;
  EXPECT_EQ(rules_with(profile_of(true), "network"),
            (Rules{"(allow network-outbound (remote ip \"*:*\"))", "(allow network-bind (local ip \"*:*\"))",
                   "(allow network-inbound (local ip \"*:*\"))",
                   "(allow network-outbound (literal \"/private/var/run/mDNSResponder\"))",
                   "(allow network-bind (local unix-socket (subpath \"/s/box/wire\")))",
                   "(allow network-inbound (local unix-socket (subpath \"/s/box/wire\")))",
                   "(allow network-outbound (remote unix-socket (subpath \"/s/box/wire\")))",
                   "(allow network-bind (local unix-socket (subpath \"/s/box/control\")))",
                   "(allow network-inbound (local unix-socket (subpath \"/s/box/control\")))",
                   "(allow network-outbound (remote unix-socket (subpath \"/s/box/control\")))"}))
      << "a bare network* is every Unix socket of the operator, too";
}

TEST(SidecarProfile, of_homebrew_it_reads_libraries_only) {
  const std::string text = profile_of(true);
  EXPECT_EQ(text.find("\"/opt/homebrew\""), std::string::npos);
  EXPECT_NE(text.find("(subpath \"/opt/homebrew/lib\")"), std::string::npos);
}

TEST(SidecarProfile, it_runs_git_and_ssh_for_the_git_gate_only) {
  EXPECT_EQ(rules_with(profile_of(false), "process-"),
            std::vector<std::string>{"(allow process-exec (literal \"/i/libexec/bot-bottle-sidecar\"))"});
  using Rules = std::vector<std::string>;
  // /bin/sh runs the shell that the system's settings name.
  const std::string programs =
      " (literal \"/bin/sh\") (literal \"/bin/bash\") (literal \"/bin/dash\") (literal \"/bin/zsh\") "
      "(literal \"/usr/bin/ssh\") (literal \"/D/Tools/usr/bin/git\") (subpath \"/D/Tools/usr/libexec/git-core\")";
  EXPECT_EQ(rules_with(profile_of(true), "process-"),
            (Rules{"(allow process-exec (literal \"/i/libexec/bot-bottle-sidecar\"))",
                   "(allow process-exec" + programs + ")", "(allow process-fork)"}));
  EXPECT_EQ(rules_with(profile_of(true), "git-core").size(), 2U) << "what is run is read";
  EXPECT_EQ(profile_of(false).find("/D/Tools"), std::string::npos);
}

TEST(SidecarProfile, git_is_the_developer_tools_and_never_the_shim) {
  EXPECT_EQ(profile_of(true).find("\"/usr/bin/git\""), std::string::npos);
  EXPECT_EQ(sidecar_path("/D/Tools"), "/D/Tools/usr/bin:/usr/bin:/bin");
  EXPECT_EQ(sidecar_path(""), "/usr/bin:/bin");
  EXPECT_EQ(developer_directory("/Library/Developer/CommandLineTools\n"), "/Library/Developer/CommandLineTools");
  EXPECT_EQ(developer_directory("/Applications/Xcode 16.app/Contents/Developer\n"),
            "/Applications/Xcode 16.app/Contents/Developer");
  for (const char* said : {"", "\n", "/", "xcode-select: error: unable to get active developer directory", "/a\n/b\n"})
    EXPECT_EQ(developer_directory(said), "") << said;
}

TEST(SidecarProfile, a_path_cannot_end_its_string) {
  const std::string text = sidecar_profile({.state_dir = "/s/\")(allow default)\\"}, "/i/libexec", "/i/share", "");
  EXPECT_NE(text.find("(subpath \"/s/\\\")(allow default)\\\\/wire\")"), std::string::npos) << text;
}

}  // namespace
}  // namespace bot_bottle::driven
