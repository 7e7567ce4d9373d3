// What is carried over is the only copy once the old container is gone: it is on disk before that is said.
#include "plugins/backend-apple/carry_over.hpp"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/file.hpp"
#include "core/base/random.hpp"

namespace {

/// What was put on disk, in order, and whether `whole` was there by then.
struct Synced {
  std::string path;
  bool is_whole = false;
};
std::vector<Synced> synced;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
std::string watched_for;     // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

}  // namespace

/// In place of the C library's.
extern "C" int fsync(int fd) {
  std::error_code code;
  const std::string path = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), code).string();
  synced.push_back({path, ::access(watched_for.c_str(), F_OK) == 0});
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

namespace bot_bottle::backend_apple {
namespace {

TEST(CarriedOver, its_mark_comes_when_it_is_on_disk_and_is_so_itself) {
  const std::string state = testing::TempDir() + "bb-carried-" + random_base36(8);
  const std::string place = state + "/backend/carried";
  ASSERT_TRUE(make_directories(place));
  EXPECT_FALSE(has_carried(state));
  synced.clear();
  watched_for = place + "/whole";
  ASSERT_TRUE(mark_carried(state));
  EXPECT_TRUE(has_carried(state));
  ASSERT_EQ(synced.size(), 5U);
  EXPECT_EQ(synced[0].path, place);
  EXPECT_FALSE(synced[0].is_whole) << "the names of the archives first";
  EXPECT_TRUE(synced[1].path.starts_with(place + "/whole.")) << synced[1].path;
  EXPECT_FALSE(synced[1].is_whole);
  const std::vector<std::string> then{place, state + "/backend", state};
  for (std::size_t i = 0; i < then.size(); ++i) {
    EXPECT_EQ(synced[i + 2].path, then[i]);
    EXPECT_TRUE(synced[i + 2].is_whole);
  }
  static_cast<void>(remove_tree(state));
}

}  // namespace
}  // namespace bot_bottle::backend_apple
