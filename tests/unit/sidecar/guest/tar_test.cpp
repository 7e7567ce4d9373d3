#include "sidecar/guest/tar.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/base/unique_fd.hpp"
#include "sidecar/guest/tree.hpp"

namespace bot_bottle::guest {
namespace {

namespace fs = std::filesystem;

class TreeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/bb-tree-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    top_ = pattern;
    fs::create_directories(top_ / "from");
    fs::create_directories(top_ / "to");
  }
  void TearDown() override { fs::remove_all(top_); }

  static std::string entry(const TarEntry& header, std::string_view content = {}) {
    std::string out = make_tar_header(header);
    out += content;
    return out.append(tar_padding(content.size()), '\0');
  }
  /// What the writer says of an archive with these entries.
  std::string write(const std::string& archive) {
    const UniqueFd root(::open((top_ / "to").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    TreeWriter writer(root.get(), {});
    TarReader reader(writer);
    const bool good = reader.feed(archive + make_tar_end());
    writer.finish();
    if (good) return reader.is_complete() ? "" : "not complete";
    return reader.problem().empty() ? writer.problem() : reader.problem();
  }
  static std::string read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  fs::path top_;
};

TEST_F(TreeTest, a_tree_comes_out_as_it_went_in) {
  const std::string long_name(200, 'n');
  fs::create_directories(top_ / "from" / long_name / "deep");
  std::ofstream(top_ / "from" / long_name / "deep" / "file") << "content";
  std::ofstream(top_ / "from" / "run") << std::string(100'000, 'x');
  ::chmod((top_ / "from" / "run").c_str(), 04755);
  fs::create_symlink(std::string(180, 't'), top_ / "from" / "link");
  ASSERT_EQ(::mkfifo((top_ / "from" / "pipe").c_str(), 0600), 0);
  const UniqueFd root(::open(top_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::string archive;
  std::string problem;
  ASSERT_TRUE(pack_tree(
      root.get(), "from", "copy", {}, [&](std::string_view bytes) { return archive += bytes, true; }, problem))
      << problem;
  EXPECT_EQ(write(archive), "");
  EXPECT_EQ(read(top_ / "to" / "copy" / long_name / "deep" / "file"), "content");
  EXPECT_EQ(read(top_ / "to" / "copy" / "run").size(), 100'000U);
  struct stat status {};
  ASSERT_EQ(::stat((top_ / "to" / "copy" / "run").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0755U);  // the set-id bit does not travel
  EXPECT_EQ(fs::read_symlink(top_ / "to" / "copy" / "link"), std::string(180, 't'));
  EXPECT_FALSE(fs::exists(top_ / "to" / "copy" / "pipe"));
}

TEST_F(TreeTest, what_is_packed_is_called_as_it_was_asked_for) {
  // The SDK of plugins relies on it: what it copies in has to land under its own name.
  std::ofstream(top_ / "file") << "content";
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(run_pack((top_ / "file").string(), "named"), 0);
  EXPECT_EQ(write(::testing::internal::GetCapturedStdout()), "");
  EXPECT_EQ(read(top_ / "to" / "named"), "content");
  ::testing::internal::CaptureStderr();
  for (const char* bad : {"", ".", "..", "a/b", "/a"}) EXPECT_NE(run_pack((top_ / "file").string(), bad), 0) << bad;
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("one part of a path"), std::string::npos);
}

TEST_F(TreeTest, no_entry_leads_out_of_the_directory) {
  for (const char* path : {"../out", "a/../../out", "/etc/out", "a//b", ""})
    EXPECT_NE(write(entry({.path = path, .size = 1}, "x")), "") << path;
  EXPECT_FALSE(fs::exists(top_ / "out"));
}

TEST_F(TreeTest, nothing_is_written_through_a_link) {
  fs::create_directories(top_ / "outside");
  const std::string link = entry({.kind = TarEntry::Kind::link, .path = "d", .target = "../outside"});
  EXPECT_NE(write(link + entry({.path = "d/file", .size = 1}, "x")), "");
  EXPECT_TRUE(fs::is_empty(top_ / "outside"));
  // A link of a file's name is replaced, not followed.
  std::ofstream(top_ / "outside" / "victim") << "kept";
  const std::string to_file = entry({.kind = TarEntry::Kind::link, .path = "f", .target = "../outside/victim"});
  EXPECT_EQ(write(to_file + entry({.path = "f", .size = 1}, "x")), "");
  EXPECT_EQ(read(top_ / "outside" / "victim"), "kept");
  EXPECT_EQ(read(top_ / "to" / "f"), "x");
}

TEST_F(TreeTest, a_device_is_left_out) {
  std::string archive = entry({.path = "device"});
  archive[156] = '3';
  unsigned sum = 0;
  for (std::size_t i = 0; i < tar_block; ++i)
    sum += i >= 148 && i < 156 ? unsigned{' '} : static_cast<unsigned char>(archive[i]);
  std::snprintf(archive.data() + 148, 8, "%06o", sum);
  EXPECT_EQ(write(archive + entry({.path = "after", .size = 1}, "x")), "");
  EXPECT_FALSE(fs::exists(fs::symlink_status(top_ / "to" / "device")));
  EXPECT_EQ(read(top_ / "to" / "after"), "x");
}

TEST_F(TreeTest, a_damaged_archive_is_refused) {
  std::string archive = entry({.path = "file", .size = 3}, "abc");
  archive[0] = 'g';
  EXPECT_EQ(write(archive), "a header with a wrong checksum");
  EXPECT_NE(write(make_tar_end() + entry({.path = "late"})), "late");
  EXPECT_FALSE(fs::exists(top_ / "to" / "late"));
}

TEST_F(TreeTest, zeros_become_holes) {
  const std::string zeros(1 << 20, '\0');
  EXPECT_EQ(write(entry({.path = "sparse", .size = zeros.size()}, zeros)), "");
  struct stat status {};
  ASSERT_EQ(::stat((top_ / "to" / "sparse").c_str(), &status), 0);
  EXPECT_EQ(status.st_size, 1 << 20);
  EXPECT_LT(status.st_blocks, 64);
}

}  // namespace
}  // namespace bot_bottle::guest
