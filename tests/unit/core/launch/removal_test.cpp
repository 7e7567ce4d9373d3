// Choice of a backend, what runs, stop and cleanup: against fakes.
#include "core/launch/removal.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "core/launch/session_file.hpp"
#include "core/state/frozen.hpp"
#include "fakes.hpp"

namespace bot_bottle::launch {
namespace {

using namespace testing_fakes;

class RemovalTest : public testing::Test {
 protected:
  void SetUp() override { ::unsetenv("BOT_BOTTLE_BACKEND"); }
  void TearDown() override { ::unsetenv("BOT_BOTTLE_TEST_PATIENCE_MS"); }
  Backends both() {
    return {.names = {"alpha", "beta"},
            .get = [this](const std::string& name) -> plugins::Backend& { return name == "alpha" ? alpha : beta; },
            .set_cancel_fd = [this](int fd) { cancel_fd = fd; }};
  }
  void stop(AfterStop after) {
    stop_bottle(both(), place.home, "x-1", after, [this](std::string_view text) { warnings.emplace_back(text); });
  }
  /// Its agent lets nobody have the transcripts.
  void add_hanging() {
    SessionFile session;
    session.transcript_paths = {"/home/agent/.tool/log", "/home/agent/.tool/more"};
    write_session_file(add("x-1"), session);
    alpha.on_call["copy_out"] = [this] { hang_until_cancelled(cancel_fd); };
    ::setenv("BOT_BOTTLE_TEST_PATIENCE_MS", "20", 1);
  }
  /// A directory whose launcher is dead.
  state::Directory add(const std::string& slug) {
    state::Metadata metadata;
    metadata.slug = slug;
    metadata.agent = "writer";
    metadata.backend = "alpha";
    metadata.label = "label-of-" + slug;
    metadata.started_at_ms = 1000;
    state::Directory directory = state::Directory::reserve(place.home, metadata);
    directory.write_document("plan.json", {{"slug", slug}});
    return directory;
  }
  void set_running(FakeBackend& backend, const std::string& slug, const std::string& state_dir = {}) {
    backend.running.push_back(
        json::object{{"slug", slug},
                     {"agent", "writer"},
                     {"status", "running"},
                     {"services", json::array{"egress"}},
                     {"state_dir", state_dir.empty() ? place.home.state_of(slug).string() : state_dir}});
  }
  /// Its launch has come to its end.
  void set_launched(const std::string& slug) {
    const state::Directory directory = state::Directory::open(place.home, slug);
    state::Metadata metadata = directory.metadata();
    metadata.status = state::Status::running;
    directory.write_metadata(metadata);
  }
  Place place;
  FakeBackend alpha{"alpha"};
  FakeBackend beta{"beta"};
  std::vector<std::string> warnings;
  int cancel_fd = -1;
};

TEST_F(RemovalTest, the_choice_of_a_backend_goes_by_availability_rank_and_name) {
  EXPECT_EQ(choose_backend(both(), {}), "alpha");
  alpha.probe_result = {{"available", true}, {"rank", 90}};
  EXPECT_EQ(choose_backend(both(), {}), "beta");
  beta.probe_result = {{"available", false}, {"reason", "no engine"}, {"fix", "start it"}};
  EXPECT_EQ(choose_backend(both(), {}), "alpha");
  EXPECT_EQ(choose_backend(both(),
                           [](const auto&) -> std::optional<std::string> {
                             ADD_FAILURE() << "nothing to choose";
                             return {};
                           }),
            "alpha");
  alpha.probe_result = {{"available", false}, {"reason", "no bwrap"}};
  try {
    choose_backend(both(), {});
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::unavailable);
    EXPECT_EQ(failure.error().details, "alpha: no bwrap\nbeta: no engine (start it)");
  }
}

TEST_F(RemovalTest, what_runs_is_the_backends_word_joined_with_our_names) {
  add("x-1");
  set_running(alpha, "x-1");
  set_running(beta, "foreign", "/somewhere/else/state/foreign");
  set_running(beta, "../evil");
  const Running running = list_running(both(), place.home);
  ASSERT_EQ(running.bottles.size(), 1U);
  EXPECT_EQ(running.bottles[0].label, "label-of-x-1");
  EXPECT_EQ(running.bottles[0].started_at_ms, 1000);
  EXPECT_EQ(running.bottles[0].services, (std::vector<std::string>{"egress"}));
}

TEST_F(RemovalTest, a_backend_that_is_not_here_is_not_a_fault_and_a_broken_one_is) {
  alpha.on_call["enumerate"] = [] { throw Failure(make_error(ErrorKind::unavailable, "no engine")); };
  beta.on_call["enumerate"] = [] { throw Failure(make_error(ErrorKind::internal, "broken")); };
  const Running running = list_running(both(), place.home);
  ASSERT_EQ(running.failed.size(), 1U);
  EXPECT_EQ(running.failed[0].first, "beta");
}

TEST_F(RemovalTest, stopping_keeps_the_state_unless_it_shall_go) {
  add("x-1");
  stop_bottle(both(), place.home, "x-1", AfterStop::preserve, [](std::string_view) {});
  EXPECT_TRUE(alpha.was_called("stop"));
  EXPECT_TRUE(state::Directory::open(place.home, "x-1").is_preserved());
  stop_bottle(both(), place.home, "x-1", AfterStop::remove, [](std::string_view) {});
  EXPECT_TRUE(alpha.was_called("remove"));
  EXPECT_FALSE(std::filesystem::exists(place.home.state_of("x-1")));
}

TEST_F(RemovalTest, a_bottle_that_gives_no_transcript_is_stopped_all_the_same) {
  add_hanging();
  stop(AfterStop::preserve);
  EXPECT_TRUE(alpha.was_called("stop"));
  EXPECT_EQ(std::ranges::count(alpha.calls, "copy_out"), 1) << "one time for all of them";
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("within 0.02 s"), std::string::npos) << warnings[0];
  EXPECT_EQ(cancel_fd, -1) << "the stop itself is not cancelled";
}

TEST_F(RemovalTest, of_a_bottle_that_is_removed_no_transcript_is_taken) {
  add_hanging();
  stop(AfterStop::remove);
  EXPECT_FALSE(alpha.was_called("copy_out"));
  EXPECT_TRUE(alpha.was_called("remove"));
}

TEST_F(RemovalTest, a_commit_that_does_not_end_does_not_keep_a_bottle_running) {
  add("x-1");
  ::setenv("BOT_BOTTLE_TEST_PATIENCE_MS", "20", 1);
  std::optional<UniqueFd> held =
      state::lock_freeze(state::Directory::open(place.home, "x-1"), state::FreezeLock::shared);
  stop(AfterStop::preserve);
  EXPECT_TRUE(alpha.was_called("stop"));
  ASSERT_EQ(warnings.size(), 2U);
  EXPECT_NE(warnings[0].find("waiting"), std::string::npos) << warnings[0];
  EXPECT_TRUE(state::Directory::open(place.home, "x-1").is_preserved());
  alpha.calls.clear();
  EXPECT_THROW(stop(AfterStop::remove), Failure) << "what a fork reads is not taken from it";
  EXPECT_TRUE(alpha.was_called("stop"));
  EXPECT_FALSE(alpha.was_called("remove"));
  EXPECT_TRUE(std::filesystem::exists(place.home.state_of("x-1")));
  held.reset();
  stop(AfterStop::remove);
  EXPECT_FALSE(std::filesystem::exists(place.home.state_of("x-1")));
}

TEST_F(RemovalTest, a_commit_that_ends_with_the_bottle_is_waited_for) {
  std::optional<UniqueFd> held = state::lock_freeze(add("x-1"), state::FreezeLock::exclusive);
  ::setenv("BOT_BOTTLE_TEST_PATIENCE_MS", "20", 1);
  alpha.on_call["stop"] = [&held] { held.reset(); };
  stop(AfterStop::remove);
  EXPECT_FALSE(std::filesystem::exists(place.home.state_of("x-1")));
}

TEST_F(RemovalTest, cleanup_takes_dead_launches_and_orphans_and_nothing_else) {
  add("dead");
  add("runs");
  set_running(alpha, "runs");
  set_launched("runs");
  add("kept").preserve("exit code 3");
  state::Metadata launching;
  launching.slug = "launching";
  launching.backend = "alpha";
  launching.cli = state::ProcessIdentity::of_this_process();
  state::Directory::reserve(place.home, launching);
  std::filesystem::create_directories(place.home.state_of("just-made"));
  beta.orphan_items = {json::object{{"kind", "process"}, {"what", "pid 7"}, {"slug", "gone"}},
                       json::object{{"kind", "process"}, {"what", "pid 8"}, {"slug", "runs"}}};

  const CleanupPlan plan = plan_cleanup(both(), place.home, Preserved::kept);
  ASSERT_EQ(plan.states.size(), 1U);
  EXPECT_EQ(plan.states[0].slug, "dead");
  ASSERT_EQ(plan.orphans.size(), 1U);
  EXPECT_EQ(find_array(plan.orphans[0].document, "items")->size(), 1U);
  EXPECT_EQ(describe(plan).size(), 2U);

  EXPECT_TRUE(run_cleanup(both(), place.home, plan, Preserved::kept).empty());
  EXPECT_EQ(state::list_slugs(place.home), (std::vector<std::string>{"just-made", "kept", "launching", "runs"}));
  EXPECT_TRUE(alpha.was_called("remove"));
  EXPECT_TRUE(beta.was_called("cleanup"));
}

TEST_F(RemovalTest, cleanup_all_takes_what_was_kept_too) {
  add("kept").preserve("exit code 3");
  const CleanupPlan plan = plan_cleanup(both(), place.home, Preserved::removed);
  ASSERT_EQ(plan.states.size(), 1U);
  EXPECT_TRUE(run_cleanup(both(), place.home, plan, Preserved::removed).empty());
  EXPECT_TRUE(state::list_slugs(place.home).empty());
}

TEST_F(RemovalTest, a_bottle_that_started_after_the_plan_is_not_cleaned_up) {
  add("dead");
  const CleanupPlan plan = plan_cleanup(both(), place.home, Preserved::kept);
  set_running(alpha, "dead");
  set_launched("dead");
  run_cleanup(both(), place.home, plan, Preserved::kept);
  EXPECT_TRUE(std::filesystem::exists(place.home.state_of("dead")));
}

TEST_F(RemovalTest, a_bottle_that_runs_although_its_launcher_died_before_it_was_up_is_taken) {
  add("half");
  set_running(alpha, "half");
  const CleanupPlan plan = plan_cleanup(both(), place.home, Preserved::kept);
  ASSERT_EQ(plan.states.size(), 1U);
  EXPECT_NE(plan.states[0].why.find("runs"), std::string::npos);
  EXPECT_TRUE(run_cleanup(both(), place.home, plan, Preserved::kept).empty());
  EXPECT_TRUE(alpha.was_called("remove"));
  EXPECT_TRUE(state::list_slugs(place.home).empty());
}

TEST_F(RemovalTest, a_resume_that_died_before_it_was_up_is_ended_and_what_was_kept_stays) {
  add("kept").preserve("exit code 3");
  set_running(alpha, "kept");
  const CleanupPlan plan = plan_cleanup(both(), place.home, Preserved::kept);
  ASSERT_EQ(plan.states.size(), 1U);
  EXPECT_TRUE(run_cleanup(both(), place.home, plan, Preserved::kept).empty());
  EXPECT_TRUE(alpha.was_called("stop"));
  EXPECT_FALSE(alpha.was_called("remove"));
  EXPECT_EQ(state::list_slugs(place.home), (std::vector<std::string>{"kept"}));
  EXPECT_EQ(state::Directory::open(place.home, "kept").metadata().status, state::Status::preserved);
}

TEST_F(RemovalTest, nothing_of_a_backend_that_cannot_be_asked_is_touched) {
  add("maybe");
  alpha.on_call["enumerate"] = [] { throw Failure(make_error(ErrorKind::internal, "broken")); };
  const CleanupPlan plan = plan_cleanup(both(), place.home, Preserved::kept);
  EXPECT_TRUE(plan.states.empty());
  EXPECT_EQ(plan.failed.size(), 1U);
}

TEST_F(RemovalTest, what_could_not_be_removed_is_told_and_the_rest_goes) {
  add("first");
  add("second");
  int times = 0;
  alpha.on_call["remove"] = [&times] {
    if (++times == 1) throw Failure(make_error(ErrorKind::timeout, "it hangs"));
  };
  const auto failed =
      run_cleanup(both(), place.home, plan_cleanup(both(), place.home, Preserved::kept), Preserved::kept);
  ASSERT_EQ(failed.size(), 1U);
  EXPECT_EQ(failed[0].first, "state first");
  EXPECT_EQ(state::list_slugs(place.home), (std::vector<std::string>{"first"}));
}

}  // namespace
}  // namespace bot_bottle::launch
