#include "core/launch/deploy_keys.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/base/file.hpp"

namespace bot_bottle::launch {
namespace {

constexpr const char* fake_key = "-----BEGIN OPENSSH PRIVATE KEY-----\nnone\n-----END OPENSSH PRIVATE KEY-----\n";

/// A forge in memory, seen through the plugin's table.
class FakeProvisioner final : public plugins::DeployKeyProvisioner {
 public:
  std::vector<std::string> keys;  // titles
  std::vector<std::string> calls;
  int failing_creates = 0;
  int failing_removals = 0;
  bool loses_answer = false;
  std::size_t key_octets = 0;
  std::function<void()> while_creating;

  [[nodiscard]] const std::string& name() const override { return name_; }
  json::object create_key(const json::object& request, int fd) override {
    calls.emplace_back("create");
    if (while_creating) while_creating();
    if (failing_creates-- > 0) throw Failure(make_error(ErrorKind::unavailable, "no"));
    keys.push_back(get_string(request, "title"));
    if (loses_answer) throw Failure(make_error(ErrorKind::timeout, "no answer"));
    or_throw(write_all(fd, fake_key + std::string(key_octets, '\n')));
    return {{"schema", "bot-bottle.deploy-key/1"}, {"key_id", "7"}, {"public_key", "p"}, {"fingerprint", "f"}};
  }
  void remove_key(const json::object& request) override {
    calls.push_back("remove " + get_string(request, "key_id"));
    if (failing_removals-- > 0) throw Failure(make_error(ErrorKind::unavailable, "the forge answered 500"));
    std::erase(keys, get_string(request, "title"));
  }

 private:
  std::string name_ = "fake";
};

class DeployKeys : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "bb-keys-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    home_.root = name;
    plugins_.get = [this](const std::string&) -> plugins::DeployKeyProvisioner& { return forge_; };
    plugins_.grant = [this](const std::string&, const std::string& variable) { granted_.push_back(variable); };
  }
  void TearDown() override { std::filesystem::remove_all(home_.root); }
  plan::GitKey create() { return create_deploy_key(plugins_, home_, "x-1", source_); }

  Home home_;
  FakeProvisioner forge_;
  DeployKeyPlugins plugins_;
  std::vector<std::string> granted_;
  plan::GitKeySource source_{.repo = "app",
                             .url = "ssh://git@forge.example.com/team/app.git",
                             .provider = "fake",
                             .path = {},
                             .token = "FORGE_TOKEN",
                             .api = {},
                             .ca = {},
                             .read_only = false};
};

TEST_F(DeployKeys, a_key_is_on_record_from_before_it_is_made_until_after_it_is_gone) {
  forge_.while_creating = [this] {
    const auto records = list_deploy_keys(home_);
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(records[0].key_id, "");
    EXPECT_TRUE(records[0].title.starts_with("bot-bottle x-1 "));
  };
  EXPECT_EQ(create().private_key.view(), fake_key);
  EXPECT_EQ(granted_, std::vector<std::string>{"FORGE_TOKEN"});
  ASSERT_EQ(list_deploy_keys(home_).size(), 1U);
  EXPECT_EQ(list_deploy_keys(home_)[0].key_id, "7");
  const auto mode = std::filesystem::status(home_.root / "deploy-keys" / "x-1.app.json").permissions();
  EXPECT_EQ(mode, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  revoke_deploy_keys(plugins_, home_, "another");
  EXPECT_EQ(forge_.keys.size(), 1U);
  revoke_deploy_keys(plugins_, home_, "x-1");
  EXPECT_TRUE(forge_.keys.empty());
  EXPECT_TRUE(list_deploy_keys(home_).empty());
}

TEST_F(DeployKeys, no_private_key_is_in_a_record) {
  create();
  EXPECT_EQ(or_throw(read_file(home_.root / "deploy-keys" / "x-1.app.json")).find("PRIVATE"), std::string::npos);
}

TEST_F(DeployKeys, a_key_whose_answer_is_lost_is_removed_by_its_title) {
  forge_.loses_answer = true;
  EXPECT_THROW(create(), Failure);
  EXPECT_EQ(forge_.calls, (std::vector<std::string>{"create", "remove "}));
  EXPECT_TRUE(forge_.keys.empty());
  EXPECT_TRUE(list_deploy_keys(home_).empty());
}

TEST_F(DeployKeys, three_more_tries_and_then_it_is_loud_and_stays_on_record) {
  create();
  forge_.failing_removals = 3;
  revoke_deploy_keys(plugins_, home_, "x-1");
  EXPECT_TRUE(forge_.keys.empty());
  create();
  forge_.failing_removals = 4;
  try {
    revoke_deploy_keys(plugins_, home_, "x-1");
    FAIL() << "nothing was said";
  } catch (const Failure& failure) {
    EXPECT_NE(failure.error().message.find("could not be removed"), std::string::npos);
    EXPECT_NE(failure.error().message.find("bot-bottle x-1 "), std::string::npos);
    EXPECT_NE(failure.error().hint.find("id 7"), std::string::npos);
    EXPECT_NE(failure.error().hint.find("FORGE_TOKEN"), std::string::npos);
  }
  EXPECT_EQ(list_deploy_keys(home_).size(), 1U);
}

TEST_F(DeployKeys, a_key_larger_than_a_pipe_does_not_hang) {
  forge_.key_octets = 20'000;
  EXPECT_GT(create().private_key.view().size(), 20'000U);
}

}  // namespace
}  // namespace bot_bottle::launch
