#include "plugins/backend-local/layout.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/base/file.hpp"
#include "plugins/backend-local/keeper/disk_guard.hpp"
#include "plugins/backend-local/keeper_document.hpp"

namespace bot_bottle::backend_local {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

class Layout : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/bb-layout-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    top_ = pattern;
  }
  void TearDown() override { ASSERT_TRUE(remove_tree(top_)); }
  void program(const fs::path& path, const std::string& text) const {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
    ::chmod(path.c_str(), 0755);
  }
  fs::path top_;
};

TEST_F(Layout, a_native_program_is_bound_alone) {
  program(top_ / "home/.local/share/agent/1.0/agent",
          "\x7f"
          "ELF");
  fs::create_directories(top_ / "home/.local/bin");
  fs::create_symlink(top_ / "home/.local/share/agent/1.0/agent", top_ / "home/.local/bin/agent");
  const auto found = find_agent_program("agent", (top_ / "home/.local/bin").string(), top_ / "home");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->path, (top_ / "home/.local/bin/agent").string());
  EXPECT_THAT(found->binds, ElementsAre((top_ / "home/.local/share/agent/1.0/agent").string()));
  EXPECT_THAT(found->links, ElementsAre((top_ / "home/.local/bin/agent").string()));
}

TEST_F(Layout, a_script_brings_its_interpreter) {
  program(top_ / "bin/runner",
          "\x7f"
          "ELF");
  program(top_ / "bin/agent", "#!/usr/bin/env runner\n");
  const auto found = find_agent_program("agent", (top_ / "bin").string() + ":/usr/bin", top_ / "home");
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_THAT(found->binds, ElementsAre((top_ / "bin/agent").string(), (top_ / "bin/runner").string()));
  EXPECT_EQ(found->names.size(), 2U);
}

TEST_F(Layout, a_program_of_usr_needs_no_bind) {
  const auto found = find_agent_program("env", "/usr/bin", top_);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->binds.empty());
}

TEST_F(Layout, H7_bind_ro_refuses_the_home_the_state_and_what_is_above) {
  fs::create_directories(top_ / "home/.bot-bottle/state");
  fs::create_directories(top_ / "home/tools");
  fs::create_directory_symlink(top_ / "home", top_ / "link");
  const auto check = [&](const fs::path& path) {
    return check_bind(path.string(), top_ / "home", top_ / "home/.bot-bottle").has_value();
  };
  EXPECT_TRUE(check(top_ / "home/tools"));
  for (const fs::path& path : {top_, top_ / "home", top_ / "link", top_ / "home/.bot-bottle/state", fs::path("/"),
                               fs::path("/proc/self"), fs::path("/dev"), fs::path("relative")})
    EXPECT_FALSE(check(path)) << path;
}

TEST_F(Layout, G3_missing_mount_points_of_git_are_made_and_named) {
  program(top_ / ".git/HEAD", "x");
  program(top_ / ".git/config", "x");
  const auto look = protect_mounted_tree(top_.string(), false);
  ASSERT_TRUE(look);
  EXPECT_FALSE(fs::exists(top_ / ".git/hooks"));
  const auto made = protect_mounted_tree(top_.string(), true);
  ASSERT_TRUE(made);
  EXPECT_THAT(made->made, ElementsAre((top_ / ".git/hooks").string()));
  EXPECT_THAT(made->read_only, Contains(".git/hooks"));
  EXPECT_THAT(made->must_stay_absent, Contains((top_ / ".git/commondir").string()));
}

TEST_F(Layout, the_document_survives_its_way_to_the_keeper) {
  KeeperDocument document;
  document.slug = "x";
  document.state_dir = "/s";
  document.bwrap = "/usr/bin/bwrap";
  document.init = {"init"};
  document.steps = {{.kind = SandboxStep::Kind::tmpfs, .source = {}, .dest = "/tmp", .bytes = 7}};
  document.env = {{"A", "b"}};
  document.limits.cpus = 0.5;
  document.uid = 1'900'000'001;
  const auto back = parse_keeper_document(to_text(to_json(document)));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->steps[0].bytes, 7U);
  EXPECT_EQ(back->uid, 1'900'000'001U);
  EXPECT_EQ(back->limits.cpus, 0.5);
  document.uid = 0;
  EXPECT_FALSE(parse_keeper_document(to_text(to_json(document))));  // never kuid 0
}

TEST_F(Layout, the_disk_guard_counts_what_is_there_and_follows_no_link) {
  fs::create_directories(top_ / "tree/d");
  std::ofstream(top_ / "tree/d/f") << std::string(300'000, 'x');
  fs::create_directory_symlink("/usr", top_ / "tree/usr");
  fs::create_directory_symlink("..", top_ / "tree/loop");
  DiskGuard large(top_.string(), {(top_ / "tree").string()}, 10 << 20, 1);
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(large.check());
  DiskGuard small(top_.string(), {(top_ / "tree").string()}, 100'000, 1);
  bool over = false;
  for (int i = 0; i < 50; ++i) over = over || small.check().has_value();
  EXPECT_TRUE(over);
  DiskGuard reserve(top_.string(), {}, 0, UINT64_MAX);
  EXPECT_TRUE(reserve.check());
}

}  // namespace
}  // namespace bot_bottle::backend_local
