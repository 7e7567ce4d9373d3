#include "sidecar/git_gate/ref_rules.hpp"

#include <gtest/gtest.h>

namespace bot_bottle::git_gate {
namespace {

const std::string one(40, '1');
const std::string two(40, '2');
const std::string zero(zero_oid);

std::string refusal(const policy::GitRepo& repo, const Refs& refs, const std::string& before, const std::string& after,
                    const std::string& name) {
  const auto found = check_update(repo, refs, {before, after, name});
  return found ? found->reason : "";
}

TEST(RefNames, only_names_with_one_reading_are_taken) {
  for (const char* good :
       {"refs/heads/a", "refs/heads/agent/x-1", "refs/tags/v1.0", "refs/heads/ünï", "refs/heads/a@b"})
    EXPECT_FALSE(check_ref_name(good)) << good;
  for (const char* bad : {"HEAD",
                          "refs/notes/x",
                          "refs/for/main",
                          "refs/replace/x",
                          "refs/heads/",
                          "refs/heads",
                          "refs/pull/1/head",
                          "refs/heads/a..b",
                          "refs/heads/a b",
                          "refs/heads/a\nb",
                          "refs/heads/.a",
                          "refs/heads/a/.b",
                          "refs/heads/a.lock",
                          "refs/heads/a.lock/b",
                          "refs/heads/-a",
                          "refs/heads/a//b",
                          "refs/heads/a/",
                          "refs/heads/a.",
                          "refs/heads/@",
                          "refs/heads/a@{1}",
                          "refs/heads/a~1",
                          "refs/heads/a^",
                          "refs/heads/a:b",
                          "refs/heads/a?",
                          "refs/heads/a*",
                          "refs/heads/a[",
                          "refs/heads/a\\b",
                          "refs/heads/\x7f",
                          "refs/heads/\xff",
                          "refs/heads/HEAD",
                          "refs/heads/head",
                          "refs/heads/refs/heads/main",
                          "refs/heads/Refs/x",
                          "refs/tags/refs/heads/main",
                          "refs/heads/../../config",
                          ""})
    EXPECT_TRUE(check_ref_name(bad)) << bad;
  EXPECT_TRUE(check_ref_name("refs/heads/" + std::string(240, 'a')));
}

TEST(RefRules, protected_branches_are_protected_in_every_case) {
  policy::GitRepo repo;
  repo.protected_branches = {"main", "release/*"};
  const Refs refs{{"refs/heads/main", one}, {"refs/heads/x", one}};
  EXPECT_EQ(refusal(repo, refs, one, two, "refs/heads/main"), "protected branch");
  EXPECT_EQ(refusal(repo, refs, zero, two, "refs/heads/MAIN"), "protected branch");
  EXPECT_EQ(refusal(repo, refs, zero, two, "refs/heads/release/1/2"), "protected branch");
  repo.allow_delete = repo.allow_force_push = true;
  EXPECT_EQ(refusal(repo, refs, one, zero, "refs/heads/main"), "protected branch");
  EXPECT_EQ(refusal(repo, refs, one, two, "refs/heads/x"), "");
  EXPECT_EQ(refusal(repo, refs, zero, two, "refs/tags/main"), "a tag may not have the name of a protected branch");
}

TEST(RefRules, allowed_is_a_list_and_an_empty_one_allows_nothing) {
  policy::GitRepo repo;
  repo.allowed_branches = std::vector<std::string>{"agent/*"};
  EXPECT_EQ(refusal(repo, {}, zero, one, "refs/heads/agent/a/b"), "");
  EXPECT_EQ(refusal(repo, {}, zero, one, "refs/heads/Agent/a"), "branch is not allowed");
  EXPECT_EQ(refusal(repo, {}, zero, one, "refs/heads/xagent/a"), "branch is not allowed");
  repo.allowed_branches = std::vector<std::string>{};
  EXPECT_EQ(refusal(repo, {}, zero, one, "refs/heads/agent/a"), "branch is not allowed");
}

TEST(RefRules, deleting_moving_tags_and_stale_views) {
  policy::GitRepo repo;
  const Refs refs{{"refs/heads/x", one}, {"refs/tags/v1", one}};
  EXPECT_EQ(refusal(repo, refs, one, zero, "refs/heads/x"), "deleting branches is not allowed");
  EXPECT_EQ(refusal(repo, refs, one, zero, "refs/tags/v1"), "deleting tags is not allowed");
  EXPECT_EQ(refusal(repo, refs, one, two, "refs/tags/v1"), "moving a tag is not allowed");
  EXPECT_EQ(refusal(repo, refs, zero, two, "refs/heads/x"), "fetch first");
  EXPECT_EQ(refusal(repo, refs, two, one, "refs/heads/x"), "fetch first");
  EXPECT_EQ(refusal(repo, refs, one, two, "refs/heads/gone"), "fetch first");
  repo.allow_tags = false;
  EXPECT_EQ(refusal(repo, refs, zero, two, "refs/tags/v2"), "tags are not allowed");
}

}  // namespace
}  // namespace bot_bottle::git_gate
