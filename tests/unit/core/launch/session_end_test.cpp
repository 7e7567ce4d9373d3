// How a session ends, what is kept of it, and what a resume makes of that; against fakes.
#include <optional>

#include "core/state/frozen.hpp"
#include "launch_fixture.hpp"

namespace bot_bottle::launch {
namespace {

TEST_F(LaunchTest, an_agent_that_fails_is_preserved_with_its_transcript) {
  backend.agent_script = "exit 9";
  const SessionResult result = run();
  EXPECT_EQ(result.code, 9);
  EXPECT_TRUE(result.preserved);
  EXPECT_TRUE(backend.was_called("copy_out"));
  EXPECT_TRUE(backend.was_called("stop"));
  EXPECT_FALSE(backend.was_called("remove"));
  const auto copied = std::ranges::find(backend.calls, "copy_out");
  EXPECT_LT(copied, std::ranges::find(backend.calls, "stop")) << "copied out while it still runs";
  const state::Directory directory = state::Directory::open(place.home, "writer-1");
  EXPECT_TRUE(directory.is_preserved());
  EXPECT_EQ(directory.metadata().status, state::Status::preserved);
  EXPECT_EQ(directory.metadata().exit_code, 9);
}

TEST_F(LaunchTest, an_agent_that_holds_its_transcript_back_does_not_keep_its_bottle_running) {
  options.timeout = 50ms;
  backend.agent_script = "exec sleep 60";
  backend.on_call["copy_out"] = [this] { hang_until_cancelled(cancel_fds.back()); };
  ::setenv("BOT_BOTTLE_TEST_PATIENCE_MS", "20", 1);
  EXPECT_EQ(run_to_failure().kind, ErrorKind::timeout);
  EXPECT_TRUE(backend.was_called("stop"));
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("within 0.02 s"), std::string::npos) << warnings[0];
  EXPECT_EQ(cancel_fds.back(), -1);
}

TEST_F(LaunchTest, a_commit_that_does_not_end_does_not_keep_its_bottle_running_and_what_it_may_have_made_is_kept) {
  std::optional<UniqueFd> held;
  backend.on_call["attach_argv"] = [&] {
    held = state::lock_freeze(state::Directory::open(place.home, "writer-1"), state::FreezeLock::exclusive);
  };
  ::setenv("BOT_BOTTLE_TEST_PATIENCE_MS", "20", 1);
  EXPECT_TRUE(run().preserved);
  EXPECT_TRUE(backend.was_called("stop"));
  EXPECT_FALSE(backend.was_called("remove"));
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("did not end"), std::string::npos) << warnings[0];
  EXPECT_TRUE(state_exists());
}

TEST_F(LaunchTest, keep_and_rm_decide_whatever_the_code) {
  options.keep = Keep::never;
  backend.agent_script = "exit 9";
  EXPECT_FALSE(run().preserved);
  EXPECT_FALSE(state_exists());
  options.keep = Keep::always;
  backend.agent_script = "exit 0";
  EXPECT_TRUE(run().preserved);
  EXPECT_TRUE(state_exists());
}

TEST_F(LaunchTest, an_agent_that_takes_too_long_is_stopped_and_preserved) {
  options.timeout = 50ms;
  backend.agent_script = "exec sleep 60";
  const Error error = run_to_failure();
  EXPECT_EQ(error.kind, ErrorKind::timeout);
  EXPECT_EQ(error.hint, "bot-bottle resume writer-1");
  EXPECT_TRUE(state::Directory::open(place.home, "writer-1").is_preserved());
}

TEST_F(LaunchTest, a_resume_keeps_home_and_state_also_when_it_fails) {
  backend.agent_script = "exit 9";
  run();
  choices.home = plan::GuestHome::reused;
  ::setenv("BOT_BOTTLE_TEST_FAIL_AT", "bottle", 1);
  backend.calls.clear();
  EXPECT_NE(run_to_failure().message.find("bottle"), std::string::npos);
  EXPECT_TRUE(backend.was_called("stop"));
  EXPECT_FALSE(backend.was_called("remove"));
  EXPECT_TRUE(state::Directory::open(place.home, "writer-1").is_preserved());
  ::unsetenv("BOT_BOTTLE_TEST_FAIL_AT");
  backend.agent_script = "exit 0";
  run();
  EXPECT_NE(backend.documents.front().find("\"reuse\":false"), std::string::npos);
  EXPECT_NE(
      std::ranges::find_if(backend.documents,
                           [](const std::string& text) { return text.find("\"reuse\":true") != std::string::npos; }),
      backend.documents.end());
  EXPECT_FALSE(state_exists()) << "it ended well";
}

/// What the agent's terminal was attached to, in order.
std::vector<std::string> attached_to(const FakeBackend& backend) {
  std::vector<std::string> attached;
  for (std::size_t i = 0; i < backend.calls.size(); ++i)
    if (backend.calls[i] == "attach_argv")
      attached.push_back(join(get_strings(*parse_json_object(backend.documents_of[i]), "argv"), " "));
  return attached;
}

TEST_F(LaunchTest, a_resume_that_fails_at_once_starts_a_fresh_session_and_says_so) {
  backend.agent_script = "exit 9";
  run();
  choices.home = plan::GuestHome::reused;
  choices.session = plan::Session::interactive;
  backend.exec_results["find"] = {{"code", 0}, {"stdout", "/home/agent/.tool/log/one\n"}};
  const std::string mark = (place.root / "tried").string();
  backend.agent_script = "test -e " + mark + " || { touch " + mark + "; exit 1; }";
  const SessionResult result = run();
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(attached_to(backend), (std::vector<std::string>{"tool --print", "tool --continue", "tool"}));
  ASSERT_FALSE(notes.empty());
  EXPECT_EQ(notes.back(), "going on with the conversation failed (code 1): a fresh session starts");
}

TEST_F(LaunchTest, a_resume_without_a_transcript_starts_a_fresh_session_at_once_and_says_so) {
  backend.agent_script = "exit 9";
  run();
  choices.home = plan::GuestHome::reused;
  choices.session = plan::Session::interactive;
  backend.exec_results["find"] = {{"code", 1}, {"stdout", ""}, {"stderr", "find: no such file"}};
  backend.agent_script = "exit 0";
  run();
  EXPECT_EQ(attached_to(backend), (std::vector<std::string>{"tool --print", "tool"}));
  ASSERT_FALSE(notes.empty());
  EXPECT_EQ(notes.back(), "there is no conversation to go on with: a fresh session starts");
}

TEST_F(LaunchTest, where_nobody_can_tell_whether_there_is_a_transcript_going_on_is_tried) {
  backend.agent_script = "exit 9";
  run();
  choices.home = plan::GuestHome::reused;
  choices.session = plan::Session::interactive;
  backend.exec_results["find"] = {{"code", 127}, {"stdout", ""}};
  backend.agent_script = "exit 0";
  run();
  EXPECT_EQ(attached_to(backend), (std::vector<std::string>{"tool --print", "tool --continue"}));
}

TEST_F(LaunchTest, what_is_kept_is_told_with_its_size) {
  backend.agent_script = "exit 9";
  backend.exec_results["du"] = {{"code", 0}, {"stdout", "14336\t/workspace\n512\t/home/agent\n"}};
  backend.on_call["copy_out"] = [this] {
    std::filesystem::create_directories(place.home.state_of("writer-1") / "transcript");
    std::ofstream(place.home.state_of("writer-1") / "transcript" / "one") << std::string(10000, 'x');
  };
  const SessionResult result = run();
  EXPECT_EQ(describe(result.kept), "workspace 14.0 MiB, home 512.0 KiB, transcript 9.8 KiB");
  backend.exec_results["du"] = {{"code", 0}, {"stdout", "99999999999999999999999\t/workspace\n"}};
  choices.home = plan::GuestHome::reused;
  EXPECT_EQ(describe(run().kept), "workspace, home, transcript 9.8 KiB") << "a lie is no size";
}

TEST_F(LaunchTest, what_is_kept_is_told_when_a_signal_or_the_time_ends_it_too) {
  options.timeout = 50ms;
  backend.agent_script = "exec sleep 60";
  backend.exec_results["du"] = {{"code", 0}, {"stdout", "1024\t/workspace\n"}};
  EXPECT_EQ(run_to_failure().details, "kept as writer-1: workspace 1.0 MiB, home");
}

TEST(MeasureTree, counts_what_is_there_follows_no_link_and_gives_up_in_time) {
  const Place place;
  std::filesystem::create_directories(place.root / "tree" / "deep" / "er");
  for (const char* name : {"a", "deep/b", "deep/er/c"})
    std::ofstream(place.root / "tree" / name) << std::string(5000, 'x');
  std::ofstream(place.root / "outside") << std::string(1 << 20, 'x');
  std::filesystem::create_symlink(place.root, place.root / "tree" / "out");
  const TreeSize size = measure_tree(place.root / "tree", 10s);
  EXPECT_TRUE(size.complete);
  EXPECT_EQ(size.files, 4U);
  EXPECT_LT(size.bytes, std::uint64_t{1} << 20);
  EXPECT_GE(size.bytes, 15000U);
  EXPECT_FALSE(measure_tree(place.root / "tree", 0s).complete);
  EXPECT_EQ(measure_tree(place.root / "absent", 10s).files, 0U);
}

TEST_F(LaunchTest, two_that_resume_one_bottle_do_not_both_get_it) {
  backend.agent_script = "exit 9";
  run();
  state::Directory other = state::Directory::open(place.home, "writer-1");
  ASSERT_TRUE(other.try_lock());
  choices.home = plan::GuestHome::reused;
  backend.calls.clear();
  EXPECT_EQ(run_to_failure().kind, ErrorKind::already_exists);
  EXPECT_FALSE(backend.was_called("stop"));
  EXPECT_FALSE(backend.was_called("remove"));
}

TEST_F(LaunchTest, a_detached_bottle_stays_without_a_lifeline) {
  choices.session = plan::Session::detached;
  const SessionResult result = run();
  EXPECT_EQ(result.slug, "writer-1");
  EXPECT_EQ(backend.lifeline_given, -1);
  EXPECT_FALSE(backend.was_called("attach_argv"));
  EXPECT_FALSE(backend.was_called("remove"));
  const state::Directory directory = state::Directory::open(place.home, "writer-1");
  EXPECT_EQ(directory.metadata().status, state::Status::running);
  EXPECT_FALSE(state::is_being_launched(directory));
  EXPECT_EQ(read_session_file(directory).argv, (std::vector<std::string>{"tool"}));
}

TEST_F(LaunchTest, a_bottle_that_is_not_detached_has_a_lifeline) {
  run();
  EXPECT_GE(backend.lifeline_given, 0);
}

TEST_F(LaunchTest, a_killed_launcher_is_seen_as_dead_by_others) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("BOT_BOTTLE_TEST_KILL_AT", "sidecar", 1);
    try {
      run();
    } catch (const Failure&) {
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  ASSERT_TRUE(state_exists());
  state::Directory directory = state::Directory::open(place.home, "writer-1");
  EXPECT_FALSE(state::is_being_launched(directory));
  EXPECT_TRUE(directory.try_lock());
}

}  // namespace
}  // namespace bot_bottle::launch
