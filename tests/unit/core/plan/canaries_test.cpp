// Canaries have the shapes that checkers of real credentials accept, are never the same twice, and stand where they
// may.
#include "core/plan/canaries.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <regex>

#include "core/base/text.hpp"

namespace bot_bottle::plan {
namespace {

Plan sample() {
  Plan plan;
  plan.manifest.workspace.mode = manifest::Workspace::Mode::copy;
  return plan;
}

std::map<std::string, std::string> values_of(const CanarySet& set) {
  std::map<std::string, std::string> values;
  for (const Canary& canary : set.canaries) values[canary.name] = canary.value;
  return values;
}

/// As checkers read it: the account in bits 1 to 40 of a key id.
std::uint64_t account_of(std::string_view key_id) {
  std::uint64_t bits = 0;
  for (const char c : key_id.substr(4, 10))
    bits = bits << 5U | static_cast<unsigned>(c >= 'A' ? c - 'A' : c - '2' + 26);
  return (bits >> 2U & 0x7fffffffff80U) >> 7U;
}

TEST(Canaries, the_checksum_is_the_one_that_published_tokens_carry) {
  // From GitHub's own description of the format; revoked on the day.
  EXPECT_EQ(base62_checksum("zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ"), "0mLq17");
}

TEST(Canaries, the_account_of_a_key_id_is_read_as_checkers_do) {
  EXPECT_EQ(account_of("ASIAQNZGKIQY56JQ7WML"), 29608264753U);  // a published key and its account
}

TEST(Canaries, pass_the_checks_that_real_credentials_pass) {
  for (int i = 0; i < 200; ++i) {
    const auto values = values_of(make_canaries(sample()));
    ASSERT_EQ(values.size(), 5U);
    const std::string id = values.at("aws-access-key-id");
    EXPECT_TRUE(std::regex_match(id, std::regex("AKIA[A-Z2-7]{16}"))) << id;
    EXPECT_GE(account_of(id), 100'000'000'000U);
    EXPECT_LT(account_of(id), 1'000'000'000'000U);
    EXPECT_TRUE(std::regex_match(values.at("aws-secret-access-key"), std::regex("[A-Za-z0-9+/]{40}")));
    EXPECT_TRUE(std::regex_match(values.at("netrc-password"), std::regex("glpat-[A-Za-z0-9]{20}")));
    for (const auto& [name, prefix] : {std::pair("npm-token", "npm_"), std::pair("dotenv-github-token", "ghp_")}) {
      const std::string token = values.at(name);
      ASSERT_TRUE(token.starts_with(prefix) && token.size() == 40) << token;
      EXPECT_EQ(token.substr(34), base62_checksum(token.substr(4, 30)));
    }
  }
}

TEST(Canaries, are_fresh_for_every_bottle) {
  const auto first = values_of(make_canaries(sample()));
  const auto second = values_of(make_canaries(sample()));
  for (const auto& [name, value] : first) EXPECT_NE(value, second.at(name)) << name;
}

TEST(Canaries, every_value_stands_in_a_file_that_nobody_else_may_read) {
  const CanarySet set = make_canaries(sample());
  std::string all;
  for (const CanaryFile& file : set.files) {
    EXPECT_EQ(file.mode, 0600U);
    EXPECT_TRUE(file.content.ends_with('\n'));
    all += file.content;
  }
  for (const Canary& canary : set.canaries) EXPECT_NE(all.find(canary.value), std::string::npos) << canary.name;
}

TEST(Canaries, nothing_that_a_program_would_pick_up_by_itself) {
  std::string all;
  for (const CanaryFile& file : make_canaries(sample()).files) all += file.path + "\n" + file.content;
  EXPECT_THAT(all, testing::Not(testing::HasSubstr("[default]")));
  for (const char* host : {"github.com", "gitlab.com", "npmjs", "amazonaws"})
    EXPECT_THAT(all, testing::Not(testing::HasSubstr(host)));
  EXPECT_THAT(all, testing::Not(testing::HasSubstr("hosts.yml")));
}

TEST(Canaries, false_keeps_all_off_and_a_mounted_tree_stays_the_operators) {
  Plan plan = sample();
  EXPECT_THAT(canary_places(plan),
              testing::ElementsAre("~/.aws/credentials", "~/.netrc", "~/.npmrc", "/workspace/.env"));
  plan.manifest.workspace.mode = manifest::Workspace::Mode::mount;
  EXPECT_THAT(canary_places(plan), testing::ElementsAre("~/.aws/credentials", "~/.netrc", "~/.npmrc"));
  for (const CanaryFile& file : make_canaries(plan).files) EXPECT_EQ(file.place, CanaryFile::Place::home);
  plan.egress.canaries = false;
  EXPECT_TRUE(make_canaries(plan).files.empty() && make_canaries(plan).canaries.empty() && canary_places(plan).empty());
}

}  // namespace
}  // namespace bot_bottle::plan
