// Files through the engine: where a finding stands, what is never followed, and files larger than a piece.
#include "sidecar/scan/file_scan.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "core/base/random.hpp"
#include "sidecar/dlp/rule_samples.hpp"

namespace bot_bottle::scan {
namespace {

class FileScanTest : public testing::Test {
 protected:
  FileScanTest() { std::filesystem::create_directories(root_); }
  ~FileScanTest() override { std::filesystem::remove_all(root_); }
  void write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  Totals scan(const std::string& name = "") {
    findings_.clear();
    FileScan scan(rules(), [&](const FileFinding& finding) { findings_.push_back(finding); });
    scan.path(name.empty() ? root_ : root_ / name);
    return scan.totals();
  }
  static std::shared_ptr<const dlp::Rules> rules() {
    static const auto all = or_throw(dlp::Rules::compile(std::filesystem::path(BB_SOURCE_DIR) / "core/policy/rules"));
    return all;
  }
  std::filesystem::path root_ = std::filesystem::temp_directory_path() / ("bb-scan-" + random_base36(8));
  std::string token_ = or_throw(dlp::expand_sample("npm_{{36:alnum}}", 3));
  std::vector<FileFinding> findings_;
};

TEST_F(FileScanTest, a_finding_says_where_and_never_what) {
  write("a.txt", "one\ntwo token=" + token_ + "\nthree\n");
  EXPECT_EQ(scan().findings, 1U);
  ASSERT_EQ(findings_.size(), 1U);
  EXPECT_EQ(findings_[0].rule, "npm-access-token");
  EXPECT_EQ(findings_[0].line, 2U);
  EXPECT_EQ(findings_[0].column, 11U);
  EXPECT_EQ(findings_[0].snippet.find(token_.substr(0, 12)), std::string::npos);
}

TEST_F(FileScanTest, each_of_many_is_found_once_however_the_file_is_cut_into_pieces) {
  for (const std::size_t before : {(std::size_t{4} << 20) - 20, (std::size_t{4} << 20) - 1000, std::size_t{9} << 20}) {
    write("big", std::string(before, '\0') + "\n" + token_ + "\n" + std::string(3000, 'x') + " " + token_ + " ");
    EXPECT_EQ(scan().findings, 2U) << before;
    EXPECT_EQ(findings_[0].offset, before + 1);
    EXPECT_EQ(findings_[0].line, 2U);
    EXPECT_EQ(findings_[1].line, 3U);
  }
}

TEST_F(FileScanTest, links_and_pipes_are_not_followed_and_what_cannot_be_read_is_an_error) {
  write("secret.txt", token_);
  std::filesystem::create_directories(root_ / "tree");
  std::filesystem::create_symlink(root_ / "secret.txt", root_ / "tree/link");
  std::filesystem::create_directory_symlink(root_, root_ / "tree/loop");
  ASSERT_EQ(::mkfifo((root_ / "tree/pipe").c_str(), 0600), 0);
  const Totals totals = scan("tree");
  EXPECT_EQ(totals.findings, 0U);
  EXPECT_EQ(totals.skipped, 3U);
  EXPECT_TRUE(totals.errors.empty());
  EXPECT_EQ(scan("absent").errors.size(), 1U);
}

TEST_F(FileScanTest, a_percent_encoded_token_is_found) {
  std::string text = "x=";
  for (const char c : token_) text += fmt::format("%{:02x}", static_cast<unsigned>(c));
  write("a", text);
  EXPECT_EQ(scan().findings, 1U);
  EXPECT_EQ(findings_.at(0).encoding, "percent");
}

}  // namespace
}  // namespace bot_bottle::scan
