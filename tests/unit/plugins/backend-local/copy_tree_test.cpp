#include "plugins/backend-local/copy_tree.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/base/file.hpp"
#include "core/base/safe_path.hpp"

namespace bot_bottle::backend_local {
namespace {

namespace fs = std::filesystem;

class CopyTree : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/bb-copy-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    top_ = pattern;
    fs::create_directories(top_ / "from");
    fs::create_directories(top_ / "to");
    from_.reset(::open((top_ / "from").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    to_.reset(::open((top_ / "to").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    options_.keep_free_bytes = 0;
  }
  void TearDown() override { ASSERT_TRUE(remove_tree(top_)); }
  Result<CopyReport> copy() { return copy_tree({from_.get(), ""}, {to_.get(), "copy"}, options_); }
  static void write(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  fs::path top_;
  UniqueFd from_;
  UniqueFd to_;
  CopyOptions options_;
};

TEST(LinkStaysInside, only_ups_that_the_depth_allows_and_then_names) {
  EXPECT_TRUE(link_stays_inside("file", 0));
  EXPECT_TRUE(link_stays_inside("./a/./b", 0));
  EXPECT_TRUE(link_stays_inside("../../a", 2));
  EXPECT_FALSE(link_stays_inside("../../a", 1));
  EXPECT_FALSE(link_stays_inside("a/../b", 5));  // a may be a link that leads up
  EXPECT_FALSE(link_stays_inside("/a", 5));
  EXPECT_FALSE(link_stays_inside("", 5));
  EXPECT_FALSE(link_stays_inside("..", 0));
  EXPECT_TRUE(link_stays_inside("..", 1));
}

TEST_F(CopyTree, thousands_of_entries_arrive_with_many_threads) {
  for (int d = 0; d < 60; ++d)
    for (int f = 0; f < 30; ++f)
      write(top_ / "from" / ("d" + std::to_string(d)) / "deep" / ("f" + std::to_string(f)), std::to_string(d * f));
  options_.threads = 4;
  const auto report = copy();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->files, 1800U);
  EXPECT_EQ(report->directories, 121U);
  std::ifstream file(top_ / "to/copy/d59/deep/f29");
  int value = 0;
  file >> value;
  EXPECT_EQ(value, 59 * 29);
}

TEST_F(CopyTree, hard_links_times_and_holes_are_kept) {
  write(top_ / "from/a", "same");
  fs::create_hard_link(top_ / "from/a", top_ / "from/b");
  write(top_ / "from/big", "");
  fs::resize_file(top_ / "from/big", std::uintmax_t{1} << 36);
  const timespec times[2] = {{.tv_sec = 1000, .tv_nsec = 5}, {.tv_sec = 2000, .tv_nsec = 7}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (top_ / "from/a").c_str(), times, 0), 0);
  ASSERT_TRUE(copy());
  struct stat a {};
  struct stat b {};
  ASSERT_EQ(::stat((top_ / "to/copy/a").c_str(), &a), 0);
  ASSERT_EQ(::stat((top_ / "to/copy/b").c_str(), &b), 0);
  EXPECT_EQ(a.st_ino, b.st_ino);
  EXPECT_EQ(a.st_mtim.tv_sec, 2000);
  EXPECT_EQ(a.st_mtim.tv_nsec, 7);
  ASSERT_EQ(::stat((top_ / "to/copy/big").c_str(), &a), 0);
  EXPECT_EQ(a.st_size, off_t{1} << 36);
  EXPECT_LT(a.st_blocks, 1000);
}

TEST_F(CopyTree, H1_an_existing_hard_link_in_the_destination_is_not_written_through) {
  write(top_ / "victim", "untouched");
  write(top_ / "from/file", "new");
  fs::create_directories(top_ / "to/copy");
  fs::create_hard_link(top_ / "victim", top_ / "to/copy/file");
  ASSERT_TRUE(copy());
  std::string text;
  std::ifstream(top_ / "victim") >> text;
  EXPECT_EQ(text, "untouched");
}

TEST_F(CopyTree, H1_a_directory_that_is_a_link_in_the_destination_is_replaced) {
  fs::create_directories(top_ / "elsewhere");
  write(top_ / "from/d/file", "x");
  fs::create_directories(top_ / "to/copy");
  fs::create_directory_symlink(top_ / "elsewhere", top_ / "to/copy/d");
  ASSERT_TRUE(copy());
  EXPECT_TRUE(fs::is_empty(top_ / "elsewhere"));
  EXPECT_TRUE(fs::is_regular_file(top_ / "to/copy/d/file"));
  EXPECT_FALSE(fs::is_symlink(top_ / "to/copy/d"));
}

TEST_F(CopyTree, set_id_bits_and_special_files_do_not_arrive) {
  write(top_ / "from/f", "x");
  ASSERT_EQ(::chmod((top_ / "from/f").c_str(), 06755), 0);
  ASSERT_EQ(::mkfifo((top_ / "from/p").c_str(), 0600), 0);
  const auto report = copy();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->skipped, 1U);
  struct stat status {};
  ASSERT_EQ(::stat((top_ / "to/copy/f").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0755U);
  EXPECT_FALSE(fs::exists(top_ / "to/copy/p"));
}

TEST_F(CopyTree, a_tree_that_is_too_deep_is_refused) {
  fs::path deep = top_ / "from";
  for (int i = 0; i < 200; ++i) deep /= "d";
  fs::create_directories(deep);
  EXPECT_FALSE(copy());
}

TEST_F(CopyTree, a_directory_named_in_skip_is_left_out) {
  write(top_ / "from/own/secret", "x");
  struct stat status {};
  ASSERT_EQ(::stat((top_ / "from/own").c_str(), &status), 0);
  options_.skip.emplace_back(status.st_dev, status.st_ino);
  ASSERT_TRUE(copy());
  EXPECT_FALSE(fs::exists(top_ / "to/copy/own"));
}

TEST_F(CopyTree, a_cancelled_copy_stops) {
  for (int f = 0; f < 2000; ++f) write(top_ / "from" / std::to_string(f), "");
  options_.cancelled = [] { return true; };
  const auto report = copy();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, ErrorKind::cancelled);
}

TEST_F(CopyTree, a_cancelled_copy_stops_in_the_middle_of_a_file_of_many_pieces) {
  write(top_ / "from/sparse", "");
  const UniqueFd file(::open((top_ / "from/sparse").c_str(), O_WRONLY | O_CLOEXEC));
  for (off_t at = 0; at < 10; ++at) ASSERT_EQ(::pwrite(file.get(), "x", 1, at << 20), 1);
  int looks = 0;
  options_.cancelled = [&looks] { return ++looks == 2; };
  const auto report = copy();
  // A file system that shares the pieces of two files is done at once.
  write(top_ / "from/clone", "");
  const UniqueFd clone(::open((top_ / "from/clone").c_str(), O_WRONLY | O_CLOEXEC));
  const UniqueFd source(::open((top_ / "from/sparse").c_str(), O_RDONLY | O_CLOEXEC));
  const bool clones = ::ioctl(clone.get(), FICLONE, source.get()) == 0;
  EXPECT_EQ(report.has_value(), clones);
  EXPECT_EQ(looks, clones ? 0 : 2);
}

TEST_F(CopyTree, a_path_with_a_link_or_dots_is_not_opened) {
  fs::create_directory_symlink("/", top_ / "from/link");
  for (const char* path : {"link/etc", "../to", "link", "/etc", "x/../../to"})
    EXPECT_FALSE(open_beneath(from_.get(), path, O_RDONLY)) << path;
  EXPECT_TRUE(open_beneath(from_.get(), "", O_RDONLY));
}

}  // namespace
}  // namespace bot_bottle::backend_local
