// What comes out of a bottle is written anew, and the builder of the next image unpacks it as root: a lying end must
// not be able to place anything outside of the tree that was asked for.
#include "plugins/backend-apple/tree_pull.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "core/base/file.hpp"
#include "core/base/random.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::backend_apple {
namespace {

using guest::TarEntry;
using Kind = TarEntry::Kind;

TarEntry directory(const std::string& path) {
  return {.kind = Kind::directory, .path = path, .mode = 0755};
}
TarEntry link(const std::string& path, const std::string& target) {
  return {.kind = Kind::link, .path = path, .target = target, .mode = 0777};
}
TarEntry file(const std::string& path, std::uint64_t size = 0) {
  return {.path = path, .mode = 04755, .size = size};
}

class PulledTrees : public testing::Test {
 protected:
  void SetUp() override {
    fd_.reset(::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    ASSERT_TRUE(fd_);
  }
  void TearDown() override { static_cast<void>(remove_tree(path_)); }

  /// Why it is refused; empty when all are taken.
  std::string refusal_of(const std::vector<TarEntry>& entries) {
    PulledNames names;
    return refusal_of(entries, names);
  }
  /// Beside what `names` has of the same archive.
  std::string refusal_of(const std::vector<TarEntry>& entries, PulledNames& names) {
    TreeRewriter rewriter(tree_, fd_.get(), names);
    for (const TarEntry& entry : entries)
      if (!rewriter.begin(entry) || !rewriter.end()) {
        EXPECT_FALSE(rewriter.problem().empty());
        return entry.path + ": " + rewriter.problem();
      }
    return {};
  }

  PulledTree tree_{.directory = "/home/agent", .as = "home/agent"};
  std::string path_ = testing::TempDir() + "bb-pulled-" + random_base36(8);
  UniqueFd fd_;
};

TEST_F(PulledTrees, an_honest_tree_is_taken_with_our_names_owners_and_modes) {
  EXPECT_EQ(refusal_of({directory("copy"), directory("copy/a"), file("copy/a/f"), link("copy/l", "/anywhere"),
                        file("copy/a/..f"), directory("copy/a")}),
            "");
  std::string text(512, '\0');
  ASSERT_EQ(::pread(fd_.get(), text.data(), text.size(), 2 * 512), 512);
  EXPECT_EQ(std::string(text.c_str()), "home/agent/a/f");
  EXPECT_EQ(text.substr(100, 7), "0000755") << "set-id bits do not travel";
}

TEST_F(PulledTrees, nothing_is_written_below_a_link) {
  EXPECT_NE(refusal_of({directory("copy"), link("copy/x", "/run/bottle/bin"), file("copy/x/bottle-init")}), "");
  EXPECT_NE(refusal_of({directory("copy"), link("copy/x", "/run"), directory("copy/x/bin"), file("copy/x/bin/f")}), "");
  EXPECT_NE(refusal_of({link("copy", "/run/bottle/bin"), file("copy/bottle-init")}), "") << "the top itself";
  EXPECT_NE(refusal_of({link("copy", "/run/bottle/bin")}), "") << "home would be a link in the next image";
  EXPECT_NE(refusal_of({directory("copy"), file("copy/x"), file("copy/x/f")}), "");
}

TEST_F(PulledTrees, a_directory_that_was_not_named_may_be_a_link_of_the_image_below) {
  EXPECT_NE(refusal_of({directory("copy"), file("copy/x/bottle-init")}), "");
  EXPECT_NE(refusal_of({file("copy/f")}), "");
}

TEST_F(PulledTrees, a_name_comes_once) {
  EXPECT_NE(refusal_of({directory("copy"), directory("copy/x"), link("copy/x", "/run"), file("copy/x/f")}), "");
  EXPECT_NE(refusal_of({directory("copy"), link("copy/x", "/run"), directory("copy/x")}), "");
  EXPECT_NE(refusal_of({directory("copy"), link("copy/x", "/etc/passwd"), file("copy/x")}), "");
  EXPECT_NE(refusal_of({directory("copy"), file("copy/x"), file("copy/x")}), "");
}

TEST_F(PulledTrees, names_have_plain_parts_only) {
  for (const char* name : {"copy/..", "copy/../x", "copy/a/..", "copy/.", "copy/./x", "copy//x", "copy/", "/copy/x", "",
                           "copyx", "other", "other/x"}) {
    EXPECT_NE(refusal_of({directory("copy"), directory("copy/a"), file(name)}), "") << name;
    EXPECT_NE(refusal_of({directory("copy"), directory("copy/a"), directory(name)}), "") << name;
  }
}

TEST_F(PulledTrees, a_hard_link_is_left_out_and_nothing_lies_below_it) {
  const TarEntry hard{.kind = Kind::other, .path = "copy/h", .target = "copy/f"};
  EXPECT_EQ(refusal_of({directory("copy"), hard}), "");
  EXPECT_EQ(or_throw(read_file(path_, 4096)).size(), guest::tar_block) << "the directory's header alone";
  EXPECT_NE(refusal_of({directory("copy"), hard, file("copy/h/f")}), "");
  EXPECT_NE(refusal_of({directory("copy"), hard, file("copy/h")}), "");
}

TEST_F(PulledTrees, what_is_remembered_of_an_archive_is_bounded) {
  tree_.max_entries = 4;  // "home" is one
  EXPECT_EQ(refusal_of({directory("copy"), file("copy/a"), file("copy/b")}), "");
  EXPECT_NE(refusal_of({directory("copy"), file("copy/a"), file("copy/b"), file("copy/c")}), "");
  tree_ = {.directory = "/home/agent", .as = "home/agent", .max_name_bytes = 1000};
  EXPECT_NE(refusal_of({directory("copy"), file("copy/" + std::string(1000, 'x'))}), "");
  PulledNames both;
  EXPECT_EQ(refusal_of({directory("copy"), file("copy/" + std::string(500, 'x'))}, both), "");
  tree_.as = "workspace";
  EXPECT_NE(refusal_of({directory("copy"), file("copy/" + std::string(500, 'x'))}, both), "")
      << "of all trees together";
}

TEST_F(PulledTrees, a_name_of_another_tree_of_the_archive_does_not_come_again) {
  const auto refusal_of_second = [&](const std::string& as, const std::vector<TarEntry>& entries) {
    PulledNames names;
    tree_.as = "home/agent";
    EXPECT_EQ(refusal_of({directory("copy"), directory("copy/d"), link("copy/l", "/run"), file("copy/f")}, names), "");
    tree_.as = as;
    return refusal_of(entries, names);
  };
  EXPECT_EQ(refusal_of_second("workspace", {directory("copy"), file("copy/f"), file("copy/l")}), "");
  EXPECT_NE(refusal_of_second("home/agent", {directory("copy"), file("copy/f")}), "") << "the same directory";
  EXPECT_NE(refusal_of_second("home/agent", {directory("copy"), file("copy/l")}), "") << "by way of the link";
  EXPECT_NE(refusal_of_second("home", {directory("copy"), directory("copy/agent"), file("copy/agent/f")}), "");
  EXPECT_NE(refusal_of_second("home", {directory("copy"), link("copy/agent", "/run")}), "");
  EXPECT_EQ(refusal_of_second("home/agent/d", {directory("copy"), file("copy/f")}), "");
  EXPECT_NE(refusal_of_second("home/agent/l", {directory("copy")}), "");
  EXPECT_NE(refusal_of_second("home/agent/l/bin", {directory("copy")}), "") << "below the link";
  EXPECT_NE(refusal_of_second("home/agent/f/bin", {directory("copy")}), "");
}

TEST_F(PulledTrees, what_lies_above_a_tree_stays_a_directory) {
  PulledNames names;
  tree_.as = "home/agent/work";
  EXPECT_EQ(refusal_of({directory("copy"), file("copy/f")}, names), "");
  tree_.as = "home";
  EXPECT_NE(refusal_of({directory("copy"), link("copy/agent", "/run")}, names), "");
}

TEST(KeptDirectories, none_is_another_one_or_in_it) {
  const auto kept = [](const std::string& home, const std::string& workspace, const std::string& mode) {
    return kept_directories({{"home", home}, {"workspace_path", workspace}, {"workspace_mode", mode}});
  };
  using Paths = std::vector<std::string>;
  EXPECT_EQ(kept("/home/agent", "/workspace", "copy"), (Paths{"/home/agent", "/workspace"}));
  EXPECT_EQ(kept("/home/agent", "/home/agent2", "copy"), (Paths{"/home/agent", "/home/agent2"}));
  EXPECT_EQ(kept("/home/agent", "/home/agent", "copy"), Paths{"/home/agent"});
  EXPECT_EQ(kept("/home/agent", "/home/agent/work", "copy"), Paths{"/home/agent"});
  EXPECT_EQ(kept("/home/agent", "/home", "copy"), Paths{"/home"});
  // A workspace that is none holds nothing.
  EXPECT_EQ(kept("/home/agent", "/workspace", "none"), Paths{"/home/agent"});
  EXPECT_EQ(kept("/home/agent", "/home", "none"), Paths{"/home/agent"});
  EXPECT_EQ(kept_directories({{"home", "/home/agent"}}), Paths{"/home/agent"});
}

TEST_F(PulledTrees, an_almost_full_disk_ends_it_within_16_mib) {
  constexpr std::uint64_t mib = std::uint64_t{1} << 20;
  const std::string bytes(mib, 'x');
  const auto write = [&](std::uint64_t keep_free) {
    tree_.keep_free_bytes = keep_free;
    PulledNames names;
    TreeRewriter rewriter(tree_, fd_.get(), names);
    EXPECT_TRUE(rewriter.begin(directory("copy")) && rewriter.begin(file("copy/f", 20 * mib)));
    for (int i = 0; i < 20; ++i)
      if (!rewriter.data(bytes)) return rewriter.problem();
    return std::string(rewriter.end() ? "" : "not whole");
  };
  EXPECT_EQ(write(0), "");
  const auto before = or_throw(read_file(path_, 64 * mib)).size();
  EXPECT_NE(write(UINT64_MAX).find("almost full"), std::string::npos);
  EXPECT_LE(or_throw(read_file(path_, 64 * mib)).size() - before, 16 * mib);
}

}  // namespace
}  // namespace bot_bottle::backend_apple
