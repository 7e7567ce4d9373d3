// Comparison and the way back, against trees on a disk; what is hostile is made hostile.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/sync/apply.hpp"
#include "core/sync/compare.hpp"

namespace bot_bottle::sync {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SyncTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/bb-sync-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    top_ = pattern;
    ours_ = top_ / "ours";
    theirs_ = top_ / "theirs";
    fs::create_directories(ours_);
  }
  void TearDown() override { ASSERT_TRUE(remove_tree(top_)); }
  static void write(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  static std::string read(const fs::path& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  /// The bottle gets its copy now.
  void give() {
    base_ = {ours_, "copy", scan_tree(ours_).tree};
    ASSERT_EQ(std::system(("cp -a " + ours_.string() + " " + theirs_.string()).c_str()), 0);
  }
  std::vector<Change> changes() { return compare(base_, ours_, theirs_, {}).list; }
  std::vector<std::string> described() {
    std::vector<std::string> out;
    for (const Change& change : changes())
      out.push_back(std::string(name_of(change.kind)) + " " + change.path + (change.conflict.empty() ? "" : " !") +
                    (change.autorun.empty() ? "" : " *"));
    return out;
  }
  Applied bring(const std::vector<Change>& chosen) { return apply(chosen, ours_, theirs_, "box"); }
  bool has_leftovers() {
    for (const auto& entry : fs::recursive_directory_iterator(ours_))
      if (entry.path().filename().string().starts_with(".bot-bottle")) return true;
    return false;
  }
  fs::path top_, ours_, theirs_;
  Base base_;
};

TEST_F(SyncTest, every_kind_of_change_is_seen_and_brought_over) {
  write(ours_ / "same", "same");
  write(ours_ / "edit", "old\n");
  write(ours_ / "gone/deep/file", "x");
  write(ours_ / "mode", "m");
  write(ours_ / "becomes-link", "x");
  write(ours_ / "becomes-dir", "x");
  write(ours_ / "dir-becomes-file/a", "x");
  fs::create_symlink("same", ours_ / "link");
  ::chmod((ours_ / "edit").c_str(), 0600);
  give();
  write(theirs_ / "edit", "new\n");
  write(theirs_ / "added/here", "a");
  fs::remove_all(theirs_ / "gone");
  ::chmod((theirs_ / "mode").c_str(), 0755);
  fs::remove(theirs_ / "becomes-link");
  fs::create_symlink("edit", theirs_ / "becomes-link");
  fs::remove(theirs_ / "becomes-dir");
  write(theirs_ / "becomes-dir/inner", "i");
  fs::remove_all(theirs_ / "dir-becomes-file");
  write(theirs_ / "dir-becomes-file", "f");
  fs::remove(theirs_ / "link");
  fs::create_symlink("edit", theirs_ / "link");
  EXPECT_THAT(described(), ElementsAre("added added/here", "type becomes-dir", "added becomes-dir/inner",
                                       "type becomes-link", "type dir-becomes-file", "deleted dir-becomes-file/a",
                                       "modified edit", "deleted gone/deep/file", "modified link", "mode mode *"));
  const Applied applied = bring(changes());
  EXPECT_THAT(applied.failed, IsEmpty());
  EXPECT_THAT(described(), IsEmpty());
  EXPECT_EQ(read(ours_ / "edit"), "new\n");
  EXPECT_FALSE(fs::exists(ours_ / "gone"));
  EXPECT_EQ(read(ours_ / "becomes-dir/inner"), "i");
  EXPECT_EQ(fs::read_symlink(ours_ / "link"), "edit");
  struct stat status {};
  ASSERT_EQ(::stat((ours_ / "edit").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U) << "the operator's own mode stays";
  EXPECT_FALSE(has_leftovers());
}

TEST_F(SyncTest, what_the_operator_changed_since_is_a_conflict_or_theirs_alone) {
  for (const char* name : {"mine", "both", "edited-then-removed", "removed-then-edited", "kept"})
    write(ours_ / name, "base\n");
  give();
  write(ours_ / "mine", "operator\n");
  write(ours_ / "both", "operator\n");
  write(theirs_ / "both", "agent\n");
  write(ours_ / "edited-then-removed", "operator\n");
  fs::remove(theirs_ / "edited-then-removed");
  fs::remove(ours_ / "removed-then-edited");
  write(theirs_ / "removed-then-edited", "agent\n");
  write(ours_ / "new-on-both", "operator\n");
  write(theirs_ / "new-on-both", "agent\n");
  write(ours_ / "new-on-mine", "operator\n");
  EXPECT_THAT(described(), ElementsAre("modified both !", "deleted edited-then-removed !", "modified new-on-both !",
                                       "added removed-then-edited !"));
}

TEST_F(SyncTest, what_changed_since_it_was_compared_is_not_touched) {
  for (const char* name : {"edited", "removed", "kept"}) write(ours_ / name, "base\n");
  give();
  for (const char* name : {"edited", "removed", "kept"}) write(theirs_ / name, "agent\n");
  write(theirs_ / "made", "agent\n");
  const auto chosen = changes();
  write(ours_ / "edited", "just now\n");
  fs::remove(ours_ / "removed");
  write(ours_ / "made", "just now\n");
  const Applied applied = bring(chosen);
  EXPECT_THAT(applied.done, ElementsAre("kept"));
  EXPECT_EQ(applied.failed.size(), 3U);
  EXPECT_EQ(read(ours_ / "edited"), "just now\n");
  EXPECT_EQ(read(ours_ / "made"), "just now\n");
  EXPECT_FALSE(fs::exists(ours_ / "removed"));
  EXPECT_FALSE(has_leftovers());
}

TEST_F(SyncTest, H1_no_link_leads_a_file_out_of_the_tree) {
  write(top_ / "outside/victim", "mine");
  fs::create_directory_symlink(top_ / "outside", ours_ / "way-out");
  give();
  // The link was a link for the comparison; in the agent's copy it is a directory.
  fs::remove(theirs_ / "way-out");
  write(theirs_ / "way-out/victim", "agent");
  write(theirs_ / "way-out/fresh", "agent");
  std::vector<Change> chosen = changes();
  std::erase_if(chosen, [](const Change& change) { return change.path == "way-out"; });
  ASSERT_EQ(chosen.size(), 2U);
  const Applied applied = bring(chosen);
  EXPECT_EQ(applied.failed.size(), 2U);
  EXPECT_FALSE(fs::exists(top_ / "outside/fresh"));
  EXPECT_EQ(read(top_ / "outside/victim"), "mine");
  // With its own change the link gives way to a directory; what it named stays.
  EXPECT_THAT(bring(changes()).failed, IsEmpty());
  EXPECT_EQ(read(ours_ / "way-out/victim"), "agent");
  EXPECT_EQ(read(top_ / "outside/victim"), "mine");
}

TEST_F(SyncTest, H1_a_link_that_leads_out_is_never_made) {
  give();
  fs::create_symlink("/etc/passwd", theirs_ / "absolute");
  fs::create_symlink("../x", theirs_ / "up");
  fs::create_directories(theirs_ / "d");
  fs::create_symlink("../fine", theirs_ / "d/inside");
  const Applied applied = bring(changes());
  EXPECT_THAT(applied.done, ElementsAre("d/inside"));
  EXPECT_EQ(applied.failed.size(), 2U);
  EXPECT_FALSE(fs::is_symlink(ours_ / "absolute"));
}

TEST_F(SyncTest, a_hard_link_of_the_operator_is_replaced_and_not_written_through) {
  write(top_ / "elsewhere", "mine");
  fs::create_hard_link(top_ / "elsewhere", ours_ / "file");
  give();
  write(theirs_ / "file", "agent");
  EXPECT_THAT(bring(changes()).failed, IsEmpty());
  EXPECT_EQ(read(ours_ / "file"), "agent");
  EXPECT_EQ(read(top_ / "elsewhere"), "mine");
}

TEST_F(SyncTest, links_that_the_copy_cannot_carry_are_not_taken_for_deleted) {
  fs::create_symlink("/usr/share/dict", ours_ / "words");
  ASSERT_EQ(::mkfifo((ours_ / "pipe").c_str(), 0600), 0);
  give();
  fs::remove(theirs_ / "words");
  fs::remove(theirs_ / "pipe");
  EXPECT_THAT(described(), IsEmpty());
}

TEST_F(SyncTest, names_are_bytes) {
  give();
  for (const std::string& name :
       {std::string("-rf"), std::string("new\nline"), std::string("\x1b[31m"), std::string("\xff\xfe"),
        std::string("a b  c"), std::string("\u202egnp.exe"), std::string("...")})
    write(theirs_ / name, name);
  const Applied applied = bring(changes());
  EXPECT_THAT(applied.failed, IsEmpty());
  EXPECT_EQ(applied.done.size(), 7U);
  EXPECT_EQ(read(ours_ / "new\nline"), "new\nline");
  EXPECT_EQ(read(ours_ / "\xff\xfe"), "\xff\xfe");
}

TEST_F(SyncTest, special_files_are_neither_shown_nor_made) {
  give();
  ASSERT_EQ(::mkfifo((theirs_ / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(described(), IsEmpty());
}

TEST_F(SyncTest, holes_stay_holes) {
  give();
  write(theirs_ / "sparse", "x");
  fs::resize_file(theirs_ / "sparse", std::uintmax_t{1} << 40);
  EXPECT_THAT(bring(changes()).failed, IsEmpty());
  struct stat status {};
  ASSERT_EQ(::stat((ours_ / "sparse").c_str(), &status), 0);
  EXPECT_EQ(status.st_size, off_t{1} << 40);
  EXPECT_LT(status.st_blocks, 1000);
}

TEST_F(SyncTest, G1_of_git_only_what_runs_is_looked_at_and_it_is_gated) {
  write(ours_ / ".git/config", "[core]\n");
  write(ours_ / ".git/HEAD", "ref: refs/heads/main\n");
  write(ours_ / ".git/index", "1");
  give();
  write(theirs_ / ".git/config", "[core]\nfsmonitor = evil\n");
  write(theirs_ / ".git/hooks/pre-commit", "#!/bin/sh\n");
  write(theirs_ / ".git/index", "2");
  write(theirs_ / ".git/objects/ab/cd", "x");
  write(theirs_ / "vendor/.git/config", "[core]\n");
  write(theirs_ / "vendor/.GIT/hooks/post-checkout", "x");
  write(theirs_ / "bare/HEAD", "ref: x\n");
  write(theirs_ / "bare/objects/x", "x");
  write(theirs_ / "bare/refs/x", "x");
  write(theirs_ / "bare/config", "[core]\n");
  EXPECT_THAT(described(), ElementsAre("modified .git/config *", "added .git/hooks/pre-commit *", "added bare/HEAD *",
                                       "added bare/config *", "added bare/objects/x *", "added bare/refs/x *"));
  EXPECT_THAT(compare(base_, ours_, theirs_, {}).left_out, ElementsAre("vendor/.GIT", "vendor/.git"));
}

// git enters "sub", reads "other/config" and runs its core.fsmonitor at `cd sub && git status`.
TEST_F(SyncTest, G1_a_repository_whose_configuration_lies_elsewhere_is_gated) {
  write(ours_ / "mine/commondir", "../other\n");
  give();
  write(theirs_ / "sub/HEAD", "ref: refs/heads/main\n");
  write(theirs_ / "sub/commondir", "../other\n");
  write(theirs_ / "sub/config.worktree", "[core]\nworktree = .\n");
  write(theirs_ / "other/config", "[core]\nfsmonitor = evil\n");
  fs::remove(theirs_ / "mine/commondir");
  write(theirs_ / "mine/HEAD", "ref: refs/heads/main\n");
  EXPECT_THAT(described(), ElementsAre("added mine/HEAD *", "deleted mine/commondir *", "added other/config",
                                       "added sub/HEAD *", "added sub/commondir *", "added sub/config.worktree *"));
}

TEST_F(SyncTest, a_name_cannot_forge_a_diff) {
  give();
  write(theirs_ / "x\n+++ b/README", "evil\n");
  const auto list = changes();
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(diff_of(list[0], ours_, theirs_).find("\n+++ b/README"), std::string::npos);
}

TEST_F(SyncTest, a_record_of_a_base_comes_back_as_it_was) {
  write(ours_ / "a\nb", "x");
  fs::create_symlink("a\nb", ours_ / "link");
  give();
  write_base(top_ / "base", base_);
  const auto back = find_base(top_ / "base");
  ASSERT_TRUE(back);
  EXPECT_EQ(back->source, ours_);
  EXPECT_EQ(back->mode, "copy");
  ASSERT_EQ(back->tree.size(), 2U);
  EXPECT_TRUE(back->tree.at("a\nb").is_same_inode_state(base_.tree.at("a\nb")));
  EXPECT_EQ(back->tree.at("link").target, "a\nb");
  EXPECT_FALSE(find_base(top_ / "none"));
  write(top_ / "bad", "what?");
  EXPECT_THROW(find_base(top_ / "bad"), Failure);
}

TEST_F(SyncTest, a_killed_sync_leaves_a_directory_that_the_next_one_removes) {
  give();
  write(ours_ / staging_name("box") / "0", "half");
  write(theirs_ / "new", "x");
  std::vector<Change> chosen = changes();
  std::erase_if(chosen, [](const Change& change) { return change.path != "new"; });
  EXPECT_THAT(bring(chosen).failed, IsEmpty());
  EXPECT_FALSE(has_leftovers());
}

TEST_F(SyncTest, a_diff_is_shown_for_texts_and_told_for_others) {
  write(ours_ / "text", "a\nb\n");
  write(ours_ / "binary", std::string("a\0b", 3));
  give();
  write(theirs_ / "text", "a\nc\n");
  write(theirs_ / "binary", std::string("a\0c", 3));
  const auto list = changes();
  ASSERT_EQ(list.size(), 2U);
  EXPECT_THAT(diff_of(list[0], ours_, theirs_), HasSubstr("not shown: file of 3 bytes -> file of 3 bytes"));
  EXPECT_EQ(diff_of(list[1], ours_, theirs_), "--- a/text\n+++ b/text\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n");
}

}  // namespace
}  // namespace bot_bottle::sync
