// Commits on a bottle's branch, and what its worktree holds, with git itself; the agent's commits are made hostile.
#include "core/sync/worktree.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/sync/git_config.hpp"

namespace bot_bottle::sync {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::StartsWith;

class WorktreeTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/bb-worktree-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    top_ = pattern;
    ::setenv("HOME", top_.c_str(), 1);
    for (const char* name : {"a", "d/b", "d/e/c", "tools/hook/pre-commit"}) write(repository() / name, "first\n");
    write(repository() / ".gitignore", "ignored\n");
    run("git config --global user.name Op; git config --global user.email op@example.com; git init -q -b main .; "
        "git add .; git commit -q -m first");
    worktree_ = {.git_dir = repository() / ".git",
                 .path = top_ / "wt",
                 .branch = "agent/box",
                 .base = run("git rev-parse HEAD")};
    add_worktree(worktree_);
  }
  void TearDown() override { ASSERT_TRUE(remove_tree(top_)); }

  [[nodiscard]] fs::path repository() const { return top_ / "repository"; }
  static void write(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  /// A shell in `directory` (the repository's working tree); its output without the last newline.
  std::string run(const std::string& script, fs::path directory = {}) {
    if (directory.empty()) directory = repository();
    std::FILE* const out = ::popen(("cd " + directory.string() + " && { " + script + "; } 2>&1").c_str(), "r");
    std::string text;
    std::array<char, 4096> piece{};
    for (std::size_t got = 0; (got = std::fread(piece.data(), 1, piece.size(), out)) > 0;)
      text.append(piece.data(), got);
    EXPECT_EQ(::pclose(out), 0) << script << "\n" << text;
    while (text.ends_with('\n')) text.pop_back();
    return text;
  }
  Brought bring(std::vector<std::string> paths, const std::string& head = {}) {
    return commit_to_branch(worktree_, {.paths = std::move(paths),
                                        .head = head,
                                        .may_run_alone = {},
                                        .author = "agent",
                                        .slug = "box",
                                        .scratch = top_ / "scratch"});
  }
  std::string status() { return run("git status --porcelain", worktree_.path); }
  fs::path top_;
  Worktree worktree_;
};

// Git follows all of these to the operator's repository, and its history would go to the agent.
TEST_F(WorktreeTest, G1_a_directory_that_leads_to_another_repository_is_refused) {
  const fs::path theirs = top_ / "unpacked";
  const std::string secret = (repository() / ".git").string();
  const auto refused = [this, &theirs](const std::string& script, const char* why, const std::string& below = "") {
    fs::create_directories(theirs);
    run(script, theirs);
    try {
      find_repository(theirs / below);
      ADD_FAILURE() << "taken: " << script;
    } catch (const Failure& failure) {
      EXPECT_THAT(failure.error().message, HasSubstr(why)) << script;
    }
    ASSERT_TRUE(remove_tree(theirs));
  };
  refused("echo 'gitdir: " + secret + "' >.git", "which does not know of it");
  refused("echo 'gitdir: " + secret + "/worktrees/wt' >.git", "which does not know of it");
  refused("ln -s " + secret + " .git", "which does not know of it");
  refused("git init -q .; echo " + secret + " >.git/commondir", "leads to");
  run("git clone -q --bare repository bare.git", top_);
  refused("git init -q --bare .; echo ../bare.git >commondir", "git finds it in");
  refused("git init -q .; rm -r .git/refs; ln -s " + secret + "/refs .git/refs", "links that lead out");
  refused("git init -q .; ln -s " + secret + "/refs/heads/main .git/refs/heads/main", "links that lead out");
  refused("git init -q .; rm -r .git/objects; ln -s " + secret + "/objects .git/objects", "links that lead out");
  // An administrative directory of its own, which says what it likes.
  refused("mkdir -p admin; echo $PWD/.git >admin/gitdir; echo " + secret + " >admin/commondir; cp " + secret +
              "/HEAD admin/; echo \"gitdir: $PWD/admin\" >.git",
          "which does not know of it");
  // The repository's own configuration names its working tree, which this is not.
  run("git config core.worktree " + repository().string());
  refused("echo 'gitdir: " + secret + "' >.git", "git finds it in");
}

TEST_F(WorktreeTest, its_own_repository_is_found_from_wherever_git_put_it) {
  EXPECT_EQ(find_repository(repository() / "d/e").top, fs::canonical(repository()));
  const Repository inside = find_repository(worktree_.path);
  EXPECT_EQ(inside.branch, "agent/box");
  EXPECT_EQ(fs::canonical(inside.git_dir), fs::canonical(repository() / ".git"));
  run("git -c protocol.file.allow=always submodule --quiet add " + repository().string() +
      " part; git commit -qm part");
  EXPECT_EQ(find_repository(repository() / "part").top, fs::canonical(repository() / "part"));
  run("git clone -q --bare repository bare.git; ln -s repository other", top_);
  EXPECT_TRUE(find_repository(top_ / "bare.git/refs").is_bare);
  EXPECT_EQ(find_repository(top_ / "other/d").branch, "main");
  run("git clone -q repository apart --separate-git-dir apart.git", top_);
  EXPECT_THROW(find_repository(top_ / "apart"), Failure);
  run("git --git-dir=apart.git config core.worktree " + (top_ / "apart").string(), top_);
  EXPECT_EQ(find_repository(top_ / "apart").branch, "main");
}

// A link in a directory's place: git refuses to look behind it, and no later sync would ever end.
TEST_F(WorktreeTest, a_directory_that_becomes_a_link_is_committed) {
  run("mv d real; ln -s real d", worktree_.path);
  EXPECT_EQ(bring({"d", "d/b", "d/e/c", "real/b", "real/e/c"}).commits, 1U);
  EXPECT_EQ(run("git ls-tree -r --name-only agent/box"), ".gitignore\na\nd\nreal/b\nreal/e/c\ntools/hook/pre-commit");
  EXPECT_EQ(status(), "");
}

TEST_F(WorktreeTest, a_name_that_looks_like_a_pathspec_does_not_hide_what_is_ignored) {
  for (const char* name : {":!x", ":(top)y", "ignored"}) write(worktree_.path / name, "x\n");
  const Brought brought = bring({":!x", ":(top)y", "ignored"});
  ASSERT_EQ(brought.left.size(), 1U);
  EXPECT_EQ(brought.left[0].first, "ignored");
  EXPECT_EQ(run("git diff --name-only main agent/box"), ":!x\n:(top)y");
}

// Killed, or stopped by somebody's lock, between the branch and the index: the operator's next commit there would take
// the agent's work back.
TEST_F(WorktreeTest, a_sync_that_ended_behind_its_commit_is_finished_by_the_next) {
  const std::vector<std::string> paths{"a", "d/b", "n"};
  run("echo agent > a; rm d/b; echo n > n; echo mine > mine; git add mine", worktree_.path);
  write(worktree_.git_dir / "worktrees/wt/index.lock", "");
  EXPECT_THROW(bring(paths), Failure);
  fs::remove(worktree_.git_dir / "worktrees/wt/index.lock");
  EXPECT_EQ(run("git diff --name-only main agent/box"), "a\nd/b\nn") << "the commit is there";
  EXPECT_NE(status(), "A  mine");
  EXPECT_EQ(bring(paths).commits, 0U);
  EXPECT_EQ(status(), "A  mine") << "what the operator staged stays staged";
}

TEST_F(WorktreeTest, G1_what_runs_or_leads_out_in_the_middle_keeps_the_history_out) {
  const std::string vendor = worktree_.base;
  run("git update-index --add --cacheinfo 160000," + vendor +
      ",vendor; printf '[submodule \"vendor\"]\\n\\tpath = vendor\\n\\turl = ../x\\n\\tignore = all\\n' > .gitmodules; "
      "git add .gitmodules; git commit -q -m vendor; git config core.hooksPath tools/hook");
  run("git reset -q --hard main", worktree_.path);
  const std::string other = run("git rev-parse main");
  struct Case {
    const char* name;
    std::string there;
    std::string back;
    const char* why;
  };
  for (const Case& one : {Case{"link", "ln -s /home d/out; git add d/out", "git rm -q d/out", "a link that leads out"},
                          Case{"module", "git update-index --cacheinfo 160000," + other + ",vendor",
                               "git update-index --cacheinfo 160000," + vendor + ",vendor", "a submodule"},
                          Case{"hook", "echo evil >> tools/hook/pre-commit; git add tools",
                               "git checkout -q HEAD~1 tools", "core.hookspath"}}) {
    const fs::path clone = top_ / one.name;
    run("git clone -q . " + clone.string());
    run(one.there + "; git commit -q --allow-empty -m there; " + one.back +
            "; git commit -q --allow-empty -m back; echo ok > ok; git add ok; git commit -q -m ok",
        clone);
    run("git fetch -q --no-recurse-submodules " + clone.string() + " +HEAD:refs/bot-bottle/box/x");
    write(worktree_.path / "ok", "ok\n");
    const Brought brought = bring({"ok"}, run("git rev-parse refs/bot-bottle/box/x"));
    EXPECT_FALSE(brought.is_history) << one.name;
    EXPECT_THAT(brought.why_not, HasSubstr(one.why));
    run("git reset -q --hard main", worktree_.path);
  }
}

TEST_F(WorktreeTest, what_only_the_worktree_has_is_work) {
  EXPECT_FALSE(look_at_worktree(worktree_).holds_work());
  run("git config status.showUntrackedFiles no");
  write(worktree_.path / "mine", "x");
  EXPECT_TRUE(look_at_worktree(worktree_).holds_work()) << "a file that no commit has";
  fs::remove(worktree_.path / "mine");
  run("git switch -q --detach; git commit -q --allow-empty -m mine", worktree_.path);
  EXPECT_TRUE(look_at_worktree(worktree_).holds_work()) << "a commit that no branch has";
  run("git branch kept $(git -C ../wt rev-parse HEAD)");
  EXPECT_FALSE(look_at_worktree(worktree_).holds_work());
  write(worktree_.path / "mine", "x");
  fs::rename(repository(), top_ / "moved");
  EXPECT_TRUE(look_at_worktree(worktree_).holds_work()) << "the project's directory has another name";
  fs::rename(top_ / "moved", repository());
  fs::remove_all(worktree_.git_dir / "worktrees");
  EXPECT_TRUE(look_at_worktree(worktree_).holds_work()) << "git has pruned what it knew of the worktree";
}

TEST_F(WorktreeTest, a_merge_is_one_whatever_the_branchs_options_say) {
  write(worktree_.path / "n", "n\n");
  bring({"n"});
  for (const char* option : {"--squash", "--no-commit --no-ff"}) {
    run("git reset -q --hard " + worktree_.base + "; git config branch.main.mergeOptions '" + option + "'");
    merge_branch(worktree_, repository());
    run("git merge-base --is-ancestor agent/box main");
  }
}

// A repository that was unpacked and not cloned brings its configuration; the agent brings the signature.
TEST_F(WorktreeTest, G4_a_merge_runs_no_program_that_the_repository_names_for_signatures) {
  write(top_ / "check", "#!/bin/sh\ntouch " + (top_ / "owned").string() + "\n");
  run("chmod +x ../check; touch ../signers; git config merge.verifySignatures true; git config log.showSignature true; "
      "git config gpg.ssh.program ../check; git config gpg.ssh.allowedSignersFile ../signers; "
      "commit=$(printf 'tree %s\\nparent %s\\nauthor A <a@example.com> 1 +0000\\ncommitter A <a@example.com> 1 +0000\\n"
      "gpgsig -----BEGIN SSH SIGNATURE-----\\n eA==\\n -----END SSH SIGNATURE-----\\n\\nsigned\\n' $(git rev-parse "
      "HEAD^{tree}) "
      "$(git rev-parse HEAD) | git hash-object -t commit -w --stdin); git update-ref refs/heads/agent/box $commit");
  EXPECT_EQ(log_of(worktree_, 10).size(), 1U);
  EXPECT_THROW(merge_branch(worktree_, repository()), Failure) << "who asks for signatures gets no merge without";
  EXPECT_FALSE(fs::exists(top_ / "owned"));
  run("git log -1 agent/box > /dev/null");
  EXPECT_TRUE(fs::exists(top_ / "owned")) << "the trap is none";
}

TEST_F(WorktreeTest, G1_files_that_the_operators_own_git_runs_are_known) {
  run("git config core.hooksPath tools/hook; git config filter.x.clean 'python3 ./tools/clean.py %f'; "
      "git config include.path ../more.ini; git config core.pager less; git config core.editor " +
      (repository() / "bin/edit").string() + "; git config core.sshCommand ../outside.sh");
  const auto paths = ConfiguredPaths::load(repository(), worktree_.git_dir);
  EXPECT_EQ(paths.reason_for("tools/hook/pre-commit"), "named by git's core.hookspath");
  EXPECT_EQ(paths.reason_for("Tools/Hook/lib/x"), "named by git's core.hookspath");
  EXPECT_EQ(paths.reason_for("tools/clean.py"), "named by git's filter.x.clean");
  EXPECT_EQ(paths.reason_for("more.ini"), "named by git's include.path");
  EXPECT_EQ(paths.reason_for("bin/edit"), "named by git's core.editor");
  for (const char* path : {"a", "tools/x", "less", "outside.sh", "tools/hooks", "false", "cat"})
    EXPECT_EQ(paths.reason_for(path), "") << path;
  // A workspace that is a part of the repository.
  const auto below = ConfiguredPaths::load(repository() / "tools", repository() / "tools/.git");
  EXPECT_EQ(below.reason_for("hook/pre-commit"), "named by git's core.hookspath");
  EXPECT_EQ(below.reason_for("clean.py"), "named by git's filter.x.clean");
  EXPECT_EQ(below.reason_for("more.ini"), "");
}

}  // namespace
}  // namespace bot_bottle::sync
