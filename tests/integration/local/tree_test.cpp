// Workspaces and copies, with trees that want out.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/integration/local/fixture.hpp"

namespace bot_bottle::test {
namespace {

namespace fs = std::filesystem;

class Tree : public LocalBackendTest {
 protected:
  json::object workspace_spec(const char* mode, const fs::path& source) {
    json::object out = spec();
    out["workspace"] = json::object{{"mode", mode}, {"source", source.string()}, {"path", "/workspace"}};
    return out;
  }
  void SetUp() override {
    LocalBackendTest::SetUp();
    source_ = home_.string() + "-tree";
    fs::create_directories(source_);
  }
  void TearDown() override {
    LocalBackendTest::TearDown();
    fs::remove_all(source_);
  }
  json::object copy_document(const std::string& from, const fs::path& to) {
    return {{"schema", "bot-bottle.copy/1"}, {"source", from}, {"dest", to.string()}, {"recursive", true}};
  }
  /// As root: bottles do not mount what is root's.
  void give_to_a_user() {
    if (!is_root()) return;
    EXPECT_EQ(::lchown(source_.c_str(), 1000, 1000), 0);
    for (const auto& entry : fs::recursive_directory_iterator(source_))
      EXPECT_EQ(::lchown(entry.path().c_str(), 1000, 1000), 0);
  }
  fs::path source_;
};

TEST_F(Tree, a_copied_workspace_keeps_modes_links_git_and_odd_names) {
  write(source_ / ".git/config", "[core]\n");
  write(source_ / "run", "#!/bin/sh\n");
  ::chmod((source_ / "run").c_str(), 0755);
  write(source_ / "-odd \x1b[31m\nname", "x");
  fs::create_symlink("run", source_ / "link");
  fs::create_directories(source_ / "read-only");
  write(source_ / "read-only/f", "y");
  ::chmod((source_ / "read-only").c_str(), 0555);
  const json::object bottle = launch(workspace_spec("copy", source_));
  EXPECT_EQ(
      shell(bottle, "cd /workspace; stat -c %a run read-only; readlink link; cat .git/config; cat ./-odd*; ls | wc -l")
          .out,
      "755\n555\nrun\n[core]\nx5\n");
  EXPECT_EQ(shell(bottle, "cd /workspace && echo new > run && cat run").out, "new\n");
  EXPECT_EQ(read(source_ / "run"), "#!/bin/sh\n");
  ::chmod((source_ / "read-only").c_str(), 0755);
}

TEST_F(Tree, a_workspace_that_holds_our_home_is_copied_without_it) {
  write(home_ / "project/file", "x");
  const json::object bottle = launch(workspace_spec("copy", home_.parent_path() == "/tmp" ? home_ / "project" : home_));
  EXPECT_EQ(shell(bottle, "ls /workspace").out, "file\n");
}

TEST_F(Tree, G1_G3_a_mounted_tree_is_written_through_but_not_its_hooks_and_config) {
  write(source_ / ".git/HEAD", "ref: refs/heads/main\n");
  write(source_ / ".git/config", "[core]\n");
  write(source_ / ".envrc", "operator\n");
  give_to_a_user();
  const json::object bottle = launch(workspace_spec("mount", source_));
  EXPECT_EQ(shell(bottle, "echo x > /workspace/file").code, 0);
  EXPECT_EQ(read(source_ / "file"), "x\n");
  for (const char* script : {"echo x >> .git/config", "echo x > .git/hooks/pre-commit",
                             "mkdir .git/hooks; echo x > .git/hooks/post-checkout", "mv .git .git-old",
                             "mv .git/hooks .git/hooks-old", "rm -rf .git/config", "echo x >> .envrc", "mv .envrc a"})
    EXPECT_NE(shell(bottle, std::string("cd /workspace && ") + script).code, 0) << script;
  EXPECT_EQ(read(source_ / ".git/config"), "[core]\n");
  EXPECT_EQ(read(source_ / ".envrc"), "operator\n");
  EXPECT_TRUE(fs::is_empty(source_ / ".git/hooks"));
  backend().remove(bottle);
  EXPECT_FALSE(fs::exists(source_ / ".git/hooks"));  // it was not there before
}

TEST_F(Tree, in_a_mounted_tree_everything_stays_its_owners_and_no_set_id_file_is_made) {
  write(source_ / "mine", "x");
  if (is_root()) give_to_a_user();
  struct stat before {};
  ASSERT_EQ(::stat((source_ / "mine").c_str(), &before), 0);
  const json::object bottle = launch(workspace_spec("mount", source_));
  EXPECT_EQ(shell(bottle, "cd /workspace && echo y >> mine && echo z > new && mkdir d && stat -c %U mine new d").out,
            "agent\nagent\nagent\n");
  for (const char* name : {"mine", "new", "d"}) {
    struct stat status {};
    ASSERT_EQ(::stat((source_ / name).c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, before.st_uid) << name;
    EXPECT_EQ(status.st_gid, before.st_gid) << name;
  }
  for (const char* script : {"chmod 4755 new", "chmod g+s new", "chmod 2755 d", "install -m 4755 new other",
                             "perl -e 'sysopen(F,\"p\",0101,04755) or exit 1'"})
    EXPECT_NE(shell(bottle, std::string("cd /workspace && ") + script).code, 0) << script;
}

TEST_F(Tree, as_root_a_tree_of_roots_can_be_mounted_too) {
  if (!is_root()) return;
  write(source_ / "mine", "x");
  const json::object bottle = launch(workspace_spec("mount", source_));
  EXPECT_EQ(shell(bottle, "cd /workspace && echo z > new && cat mine").out, "x");
  struct stat status {};
  ASSERT_EQ(::stat((source_ / "new").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 0U);
  const std::string process = "/proc/" + std::to_string(get_int(*find_object(bottle, "data"), "init", -1));
  EXPECT_EQ(read(process + "/status").find("Uid:\t0"), std::string::npos);
}

TEST_F(Tree, G3_what_would_redirect_git_ends_the_bottle) {
  write(source_ / ".git/HEAD", "ref: refs/heads/main\n");
  write(source_ / ".git/config", "[core]\n");
  give_to_a_user();
  const json::object bottle = launch(workspace_spec("mount", source_));
  try {
    shell(bottle, "echo ../evil > /workspace/.git/commondir; sleep 20");
  } catch (const Failure&) {
  }
  EXPECT_TRUE(soon([&] { return !is_running("x-1"); }));
  EXPECT_FALSE(fs::exists(source_ / ".git/commondir"));
}

TEST_F(Tree, G3_a_tree_without_git_gets_none_from_the_agent) {
  give_to_a_user();
  const json::object bottle = launch(workspace_spec("mount", source_));
  EXPECT_NE(shell(bottle, "cd /workspace && git init .").code, 0);
  EXPECT_NE(shell(bottle, "cd /workspace && mv .git g").code, 0);
  backend().remove(bottle);
  EXPECT_FALSE(fs::exists(source_ / ".git"));
}

TEST_F(Tree, H7_the_operators_home_and_our_own_cannot_be_mounted) {
  for (const fs::path& path : {home_, home_.parent_path(), fs::path("/")})
    error_of([&] { backend().plan(workspace_spec("mount", path)); });
}

TEST_F(Tree, copy_in_gives_the_agent_what_it_can_read_and_write) {
  const json::object bottle = launch();
  write(source_ / "a/b/file", "content");
  ::chmod((source_ / "a/b/file").c_str(), 06755);
  backend().copy_in(bottle, copy_document((source_ / "a").string(), "/home/agent/.config/deep/a"));
  EXPECT_EQ(shell(bottle,
                  "cat /home/agent/.config/deep/a/b/file; stat -c '%a %U' /home/agent/.config/deep/a/b/file; echo x > "
                  "/home/agent/.config/new; echo $?")
                .out,
            "content755 agent\n0\n");
  backend().copy_in(bottle, {{"schema", "bot-bottle.copy/1"},
                             {"source", (source_ / "a/b/file").string()},
                             {"dest", "/home/agent/one"},
                             {"mode", 0600}});
  EXPECT_EQ(shell(bottle, "stat -c %a /home/agent/one").out, "600\n");
}

TEST_F(Tree, H1_copy_in_writes_through_no_link_of_the_agents) {
  const json::object bottle = launch();
  write(source_ / "file", "new");
  write(home_ / "victim", "untouched");
  const std::string victim = (home_ / "victim").string();
  shell(bottle, "ln -s " + home_.string() + " /home/agent/dir; ln -s " + victim + " /home/agent/file");
  EXPECT_EQ(error_of([&] {
              backend().copy_in(bottle, copy_document((source_ / "file").string(), "/home/agent/dir/victim"));
            }).kind,
            ErrorKind::permission_denied);
  backend().copy_in(bottle, copy_document((source_ / "file").string(), "/home/agent/file"));
  EXPECT_EQ(read(home_ / "victim"), "untouched");
  EXPECT_EQ(shell(bottle, "cat /home/agent/file").out, "new");
  for (const char* dest : {"/home/agent/../../etc/passwd", "/etc/passwd", "/home/agentx", "relative", "/"})
    error_of([&] { backend().copy_in(bottle, copy_document((source_ / "file").string(), dest)); });
}

TEST_F(Tree, H1_H6_a_hostile_tree_is_copied_out_without_its_tricks) {
  const json::object bottle = launch();
  write(home_ / "victim", "untouched");
  shell(bottle,
        "mkdir -p /home/agent/t/d/e; cd /home/agent/t; echo real > file; ln -s file good; ln -s ../file d/good; ln -s "
        "/etc/passwd absolute; ln -s ../../../../etc/passwd up;"
        "ln -s ../.. d/e/back; ln -s back/../../../etc d/e/chain; mkfifo pipe; chmod 777 file; ln file hard; mkdir ro; "
        "chmod 0 ro; "
        "perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local=>\"sock\",Listen=>1)'; truncate -s 1T sparse; echo x "
        "> \"$(printf 'bad\\n\\033name')\"; chmod 755 ro");
  const fs::path out = source_ / "out";
  backend().copy_out(bottle, copy_document("/home/agent/t", out));
  EXPECT_EQ(read(out / "file"), "real\n");
  EXPECT_EQ(fs::read_symlink(out / "good"), "file");
  EXPECT_EQ(fs::read_symlink(out / "d/good"), "../file");
  for (const char* name : {"absolute", "up", "d/e/chain", "pipe", "sock"})
    EXPECT_FALSE(fs::is_symlink(fs::symlink_status(out / name)) || fs::exists(fs::symlink_status(out / name))) << name;
  struct stat status {};
  ASSERT_EQ(::stat((out / "file").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0777U);
  ASSERT_EQ(::stat((out / "sparse").c_str(), &status), 0);
  EXPECT_LT(status.st_blocks, 1000);
}

TEST_F(Tree, H1_copy_out_never_starts_at_a_link) {
  const json::object bottle = launch();
  write(home_ / "victim", "secret");
  shell(bottle,
        "ln -s " + home_.string() + " /home/agent/link; ln -s " + (home_ / "victim").string() + " /home/agent/file");
  EXPECT_EQ(
      error_of([&] { backend().copy_out(bottle, copy_document("/home/agent/link/victim", source_ / "out")); }).kind,
      ErrorKind::permission_denied);
  EXPECT_EQ(error_of([&] { backend().copy_out(bottle, copy_document("/home/agent/file", source_ / "out")); }).kind,
            ErrorKind::permission_denied);
  EXPECT_FALSE(fs::exists(source_ / "out"));
}

TEST_F(Tree, H1_copy_out_replaces_a_link_in_the_destination_and_does_not_write_through_it) {
  const json::object bottle = launch();
  shell(bottle, "mkdir /home/agent/t; echo new > /home/agent/t/file");
  write(home_ / "victim", "untouched");
  fs::create_directories(source_ / "out");
  fs::create_symlink(home_ / "victim", source_ / "out/file");
  backend().copy_out(bottle, copy_document("/home/agent/t", source_ / "out"));
  EXPECT_EQ(read(home_ / "victim"), "untouched");
  EXPECT_EQ(read(source_ / "out/file"), "new\n");
}

TEST_F(Tree, what_is_not_in_home_or_workspace_is_not_copied) {
  const json::object bottle = launch();
  for (const char* place : {"/etc/passwd", "/proc/1/environ", "/run/bottle/wire", "/"}) {
    error_of([&] { backend().copy_out(bottle, copy_document(place, source_ / "out")); });
    error_of([&] { backend().copy_in(bottle, copy_document(source_.string(), place)); });
  }
}

}  // namespace
}  // namespace bot_bottle::test
