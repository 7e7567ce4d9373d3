// An archive is whole where its end is, and a failure is the program's own where it begins a line.
#include "plugins/backend-smolvm/frozen_stream.hpp"

#include <gtest/gtest.h>

#include "plugins/backend-driven/tar_text.hpp"

namespace bot_bottle::backend_smolvm {
namespace {

bool is_whole(const std::string& archive, std::size_t piece) {
  ArchiveWalk walk;
  for (std::size_t at = 0; at < archive.size(); at += piece) walk.take(std::string_view(archive).substr(at, piece));
  return walk.is_whole();
}

std::string archive_of(const std::string& content) {
  driven::TarText tar;
  tar.directory("home", 0755);
  tar.file("home/first", 0644, "first");
  tar.file("home/last", 0644, content);
  return tar.finish();
}

TEST(ArchiveWalks, only_an_archive_with_its_end_is_whole) {
  const std::string archive = archive_of("text");
  for (const std::size_t piece : {std::size_t{1}, std::size_t{511}, std::size_t{512}, archive.size()}) {
    EXPECT_TRUE(is_whole(archive, piece)) << piece;
    EXPECT_TRUE(is_whole(archive + std::string(9000, '\0'), piece)) << "tar fills its last record up";
    for (const std::size_t cut : {1U, 512U, 513U, 1023U, 1024U, 1025U, 2000U})
      EXPECT_FALSE(is_whole(archive.substr(0, archive.size() - cut), piece)) << piece << ", without " << cut;
  }
  EXPECT_FALSE(is_whole("", 1));
}

TEST(ArchiveWalks, zeros_that_are_a_file_s_are_no_end) {
  const std::string archive = archive_of(std::string(100 * 512, '\0'));
  EXPECT_TRUE(is_whole(archive, 1000));
  EXPECT_FALSE(is_whole(archive.substr(0, archive.size() - std::size_t{40} * 512), 1000));
}

TEST(ArchiveWalks, what_is_no_archive_is_not_whole) {
  EXPECT_FALSE(is_whole(std::string(10 * 512, 'x') + std::string(1024, '\0'), 512));
  const std::string archive = archive_of("text");
  EXPECT_FALSE(is_whole(archive.substr(0, archive.size() - 512) + archive, 512)) << "an entry behind one zero block";
  std::string huge = archive;
  huge.replace(124, 12, "\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 12);
  huge[156] = '0';
  EXPECT_FALSE(is_whole(huge, 512)) << "a size that wraps around";
}

TEST(ArchiveWalks, what_has_no_content_has_none_whatever_its_size_says) {
  std::string archive = archive_of("text");
  archive.replace(124, 11, "00000001000");  // the directory's
  EXPECT_TRUE(is_whole(archive, 512));
}

TEST(ComplaintsOfAFreeze, a_failure_begins_a_line_and_comes_after_any_number_of_others) {
  const std::string warning = "tar: ./workspace/Error: x: file changed as we read it\n";
  Complaints complaints;
  for (std::size_t said = 0; said < std::size_t{5} << 20; said += warning.size()) complaints.take(warning);
  EXPECT_FALSE(complaints.has_failure());
  EXPECT_EQ(complaints.text().substr(0, warning.size()), warning);
  EXPECT_LE(complaints.text().size(), 4096U);
  for (const char c : std::string("Error: connection lost\n")) complaints.take({&c, 1});
  complaints.take(warning);
  ASSERT_TRUE(complaints.has_failure());
  EXPECT_EQ(complaints.text(), "Error: connection lost");
}

TEST(ComplaintsOfAFreeze, the_last_line_need_not_end) {
  Complaints complaints;
  complaints.take("tar: x\nError: busy");
  EXPECT_EQ(complaints.text(), "Error: busy");
}

}  // namespace
}  // namespace bot_bottle::backend_smolvm
