#include "core/policy/git_gate.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace bot_bottle::policy {
namespace {

bool has(const std::vector<std::string>& all, std::string_view one) {
  return std::ranges::find(all, one) != all.end();
}

TEST(GitUpstream, reads_the_three_forms) {
  const auto ssh = parse_git_upstream("ssh://git@Forge.example.com:2222/team/app.git");
  ASSERT_TRUE(ssh);
  EXPECT_EQ(ssh->host, "forge.example.com");
  EXPECT_EQ(ssh->port, 2222);
  EXPECT_EQ(ssh->user, "git");
  EXPECT_EQ(ssh->path, "team/app.git");
  const auto scp = parse_git_upstream("git@forge.example.com:team/app.git");
  ASSERT_TRUE(scp);
  EXPECT_TRUE(scp->scp_form);
  const auto https = parse_git_upstream("https://forge.example.com/team/app.git");
  ASSERT_TRUE(https);
  EXPECT_EQ(https->transport, GitUpstream::Transport::https);
}

TEST(GitUpstream, what_a_program_could_read_otherwise_is_refused) {
  for (const char* bad : {"",
                          "app",
                          "http://forge.example.com/a",
                          "file:///a",
                          "ext::sh -c x",
                          "ssh://-oProxyCommand=x/a",
                          "-a@host:b",
                          "ssh://git@host:0/a",
                          "ssh://git@host:99999/a",
                          "ssh://git:pw@host/a",
                          "https://tok@host/a",
                          "git@host:-x",
                          "ssh://git@host/",
                          "git@host:.git",
                          "ssh://git@host/a b",
                          "ssh://git@host/a\nb",
                          "ssh://git@host/$(x)",
                          "ssh://git@host/a;b",
                          "ssh://git@ho_st/a",
                          "@host:a"})
    EXPECT_FALSE(parse_git_upstream(bad)) << bad;
}

TEST(GitUpstream, every_spelling_is_rewritten) {
  const auto all = spellings_of(*parse_git_upstream("git@forge.example.com:team/app.git"));
  for (const char* one : {"git@forge.example.com:team/app", "git@forge.example.com:/team/app",
                          "forge.example.com:team/app", "ssh://git@forge.example.com/team/app",
                          "ssh://git@forge.example.com:22/team/app", "git+ssh://git@forge.example.com/team/app",
                          "ssh://forge.example.com/team/app", "https://forge.example.com/team/app"})
    EXPECT_TRUE(has(all, one)) << one;
  const auto odd = spellings_of(*parse_git_upstream("ssh://git@forge.example.com:2222/team/app"));
  EXPECT_TRUE(has(odd, "ssh://git@forge.example.com:2222/team/app"));
  EXPECT_FALSE(has(odd, "git@forge.example.com:team/app")) << "the scp form has no port";
  EXPECT_FALSE(has(odd, "https://forge.example.com/team/app")) << "another server, perhaps";
}

TEST(GitBranches, a_star_is_any_text) {
  EXPECT_TRUE(matches_branch("release/*", "release/1/2", GlobCase::exact));
  EXPECT_FALSE(matches_branch("release/*", "release", GlobCase::exact));
  EXPECT_TRUE(matches_branch("*", "", GlobCase::exact));
  EXPECT_TRUE(matches_branch("a*b*c", "axxbyybc", GlobCase::exact));
  EXPECT_FALSE(matches_branch("a*b*c", "axxbyyb", GlobCase::exact));
  EXPECT_TRUE(matches_branch("main", "MaiN", GlobCase::fold));
  EXPECT_FALSE(matches_branch("main", "MaiN", GlobCase::exact));
  EXPECT_FALSE(matches_branch("a*a*a*a*a*a*a*a*b", std::string(20000, 'a'), GlobCase::exact)) << "and at once";
}

TEST(GitGate, comes_back_from_its_document) {
  GitGate gate;
  GitRepo repo;
  repo.name = "app";
  repo.upstream = *parse_git_upstream("ssh://git@forge.example.com/app.git");
  repo.host_key = "ssh-ed25519 AAAA";
  repo.hosts = {{"forge.example.com", "192.0.2.1"}};
  repo.protected_branches = {"trunk"};
  repo.allowed_branches = std::vector<std::string>{"agent/*"};
  repo.allow_force_push = true;
  repo.allow_tags = false;
  repo.max_push_bytes = 12345;
  repo.scan = {.rules = "x", .baseline = {"a:b:c:1"}, .honour_inline_allow = true};
  gate.repos.push_back(repo);
  const auto text = to_text(to_json(gate));
  const auto back = parse_git_gate(or_throw(parse_json_object(text)));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(to_text(to_json(*back)), text);
}

TEST(GitGate, bad_documents_name_repository_and_key) {
  const auto error = [](const char* text) {
    const auto parsed = parse_git_gate(or_throw(parse_json_object(text)));
    return parsed ? std::string() : parsed.error().message;
  };
  EXPECT_NE(error(R"({"repos":[{"name":"..","url":"git@h:a","host_key":"t k"}]})").find("name"), std::string::npos);
  EXPECT_NE(error(R"({"repos":[{"name":"a","url":"git@h:a"}]})").find("host_key"), std::string::npos);
  EXPECT_NE(error(R"({"repos":[{"name":"a","url":"git@h:a","host_key":"t k\nother t k"}]})").find("host_key"),
            std::string::npos)
      << "a second line of known_hosts";
  EXPECT_NE(error(R"({"repos":[{"name":"a","url":"git@h:a","host_key":"@cert-authority * t k"}]})").find("host_key"),
            std::string::npos);
  EXPECT_NE(
      error(
          R"({"repos":[{"name":"a","url":"git@h:a","host_key":"t k"},{"name":"A","url":"git@h:b","host_key":"t k"}]})")
          .find("twice"),
      std::string::npos);
}

TEST(GitGate, baselines_are_gitleaks_reports_or_fingerprints) {
  EXPECT_EQ(parse_baseline(R"([{"Fingerprint":"c:f:r:3","RuleID":"r"}])"), std::vector<std::string>{"c:f:r:3"});
  EXPECT_EQ(parse_baseline(R"([{"RuleID":"r","Commit":"c","File":"f","StartLine":3}])"),
            std::vector<std::string>{"c:f:r:3"});
  EXPECT_EQ(parse_baseline("# comment\nf:r:1\n\n"), std::vector<std::string>{"f:r:1"});
  EXPECT_FALSE(parse_baseline(R"([{"x":1}])"));
}

}  // namespace
}  // namespace bot_bottle::policy
