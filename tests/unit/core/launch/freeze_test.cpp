// commit's bookkeeping, against a freezer that is a set of names.
#include "core/launch/freeze.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <functional>
#include <set>

#include "core/launch/removal.hpp"
#include "core/launch/session_file.hpp"
#include "fakes.hpp"

namespace bot_bottle::launch {
namespace {

using namespace testing_fakes;
using testing::ElementsAre;
using testing::IsEmpty;

class FakeFreezer final : public plugins::Freezer {
 public:
  std::set<std::string> there;
  bool fails = false;          // after half of it is there
  bool takes_another = false;  // than the name it was given
  bool cannot_remove = false;
  std::function<void()> while_freezing;
  [[nodiscard]] const std::string& name() const override { return name_; }
  json::object freeze(const json::object& bottle) override {
    const std::string ref = get_string(bottle, "snapshot");
    there.insert(ref);
    if (while_freezing) while_freezing();
    if (fails) throw Failure(make_error(ErrorKind::failed_precondition, "the disk is full"));
    return {{"schema", "bot-bottle.snapshot/1"}, {"kind", "set"}, {"ref", takes_another ? "x" : ref}, {"size", 7}};
  }
  bool exists(const std::string& ref) override { return there.contains(ref); }
  void remove(const std::string& ref) override {
    if (cannot_remove) throw Failure(make_error(ErrorKind::unavailable, "the engine is down"));
    there.erase(ref);
  }
  void export_to(const std::string&, const std::string&) override {}

 private:
  std::string name_ = "alpha";
};

class FreezeTest : public testing::Test {
 protected:
  void SetUp() override {
    state::Metadata metadata;
    metadata.slug = "box";
    metadata.backend = "alpha";
    metadata.status = state::Status::running;
    state::Directory directory = state::Directory::reserve(place.home, metadata);
    directory.write_document("bottle.json", {{"slug", "box"}});
    run(true);
    parts.backends = &backends;
    parts.home = place.home;
  }
  void run(bool runs) {
    alpha.running.clear();
    if (runs)
      alpha.running.push_back(json::object{{"slug", "box"}, {"state_dir", place.home.state_of("box").string()}});
  }
  state::Directory directory() { return state::Directory::open(place.home, "box"); }
  Error error_of_commit() {
    try {
      commit_bottle(parts, "box");
    } catch (const Failure& failure) {
      return failure.error();
    }
    ADD_FAILURE() << "it did not fail";
    return {};
  }
  Place place;
  FakeBackend alpha{"alpha"};
  FakeFreezer freezer;
  Backends backends{.names = {"alpha"},
                    .get = [this](const std::string&) -> plugins::Backend& { return alpha; },
                    .find_freezer = [this](const std::string&) -> plugins::Freezer* { return &freezer; }};
  CommitParts parts;
};

TEST_F(FreezeTest, a_commit_is_recorded_and_replaces_the_one_before) {
  const std::string first = commit_bottle(parts, "box").ref();
  EXPECT_TRUE(directory().is_preserved());
  const state::Frozen frozen = commit_bottle(parts, "box");
  EXPECT_NE(frozen.ref(), first);
  EXPECT_THAT(freezer.there, ElementsAre(frozen.ref()));
  EXPECT_THAT(frozen.pending, IsEmpty());
  EXPECT_TRUE(frozen.next_resume);
  EXPECT_EQ(frozen.size(), 7U);
}

TEST_F(FreezeTest, a_freeze_that_fails_leaves_the_old_snapshot_and_nothing_half_made) {
  const std::string first = commit_bottle(parts, "box").ref();
  freezer.fails = true;
  EXPECT_EQ(error_of_commit().message, "the disk is full");
  EXPECT_THAT(freezer.there, ElementsAre(first));
  EXPECT_EQ(state::find_frozen(directory())->ref(), first);
  EXPECT_THAT(state::find_frozen(directory())->pending, IsEmpty());
}

TEST_F(FreezeTest, a_freezer_that_takes_another_name_is_refused) {
  freezer.takes_another = true;
  EXPECT_EQ(error_of_commit().kind, ErrorKind::internal);
  EXPECT_THAT(freezer.there, IsEmpty());
}

TEST_F(FreezeTest, what_could_not_be_removed_is_named_and_cleanup_does_it_later) {
  freezer.fails = true;
  freezer.cannot_remove = true;
  error_of_commit();
  EXPECT_EQ(freezer.there.size(), 1U);
  freezer.cannot_remove = false;
  const CleanupPlan plan = plan_cleanup(backends, place.home, Preserved::kept);
  ASSERT_EQ(plan.snapshots.size(), 1U);
  EXPECT_EQ(plan.snapshots.front().slug, "box");
  EXPECT_THAT(run_cleanup(backends, place.home, plan, Preserved::kept), IsEmpty());
  EXPECT_THAT(freezer.there, IsEmpty());
  EXPECT_TRUE(plan_cleanup(backends, place.home, Preserved::kept).is_empty());
}

TEST_F(FreezeTest, while_somebody_freezes_or_forks_it_cleanup_takes_nothing) {
  freezer.fails = true;
  freezer.cannot_remove = true;
  error_of_commit();
  const UniqueFd held = state::lock_freeze(directory(), state::FreezeLock::shared);
  EXPECT_THAT(plan_cleanup(backends, place.home, Preserved::kept).snapshots, IsEmpty());
}

TEST_F(FreezeTest, a_commit_lets_nobody_fork_remove_or_commit_it_meanwhile) {
  int looks = 0;
  freezer.while_freezing = [&] {
    ++looks;
    EXPECT_FALSE(state::try_lock_freeze(directory(), state::FreezeLock::shared));
  };
  commit_bottle(parts, "box");
  EXPECT_EQ(looks, 1);
  EXPECT_TRUE(state::try_lock_freeze(directory(), state::FreezeLock::exclusive)) << "and then it is free";
}

TEST_F(FreezeTest, a_commit_that_waits_for_another_one_can_be_cancelled) {
  const UniqueFd held = state::lock_freeze(directory(), state::FreezeLock::exclusive);
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd read(ends[0]);
  UniqueFd write(ends[1]);
  parts.cancel_fd = read.get();
  write.reset();
  EXPECT_EQ(error_of_commit().kind, ErrorKind::cancelled);
  EXPECT_THAT(freezer.there, IsEmpty());
}

TEST_F(FreezeTest, a_commit_whose_transcript_does_not_come_ends_and_holds) {
  int cancel_fd = -1;
  backends.set_cancel_fd = [&](int fd) { cancel_fd = fd; };
  SessionFile session;
  session.transcript_paths = {"/home/agent/log"};
  write_session_file(directory(), session);
  alpha.on_call["copy_out"] = [&] { hang_until_cancelled(cancel_fd); };
  std::vector<std::string> warnings;
  parts.warn = [&](std::string_view text) { warnings.emplace_back(text); };
  ::setenv("BOT_BOTTLE_TEST_PATIENCE_MS", "20", 1);
  const std::string ref = commit_bottle(parts, "box").ref();
  ::unsetenv("BOT_BOTTLE_TEST_PATIENCE_MS");
  EXPECT_THAT(freezer.there, ElementsAre(ref));
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("within 0.02 s"), std::string::npos) << warnings[0];
}

TEST_F(FreezeTest, a_bottle_that_does_not_run_is_not_frozen) {
  run(false);
  EXPECT_EQ(error_of_commit().kind, ErrorKind::failed_precondition);
  EXPECT_FALSE(state::find_frozen(directory()));
}

TEST_F(FreezeTest, a_backend_without_a_freezer_says_so) {
  backends.find_freezer = nullptr;
  EXPECT_EQ(error_of_commit().kind, ErrorKind::unsupported);
}

TEST_F(FreezeTest, a_bottle_that_is_removed_takes_its_snapshots_along) {
  commit_bottle(parts, "box");
  run(false);
  stop_bottle(backends, place.home, "box", AfterStop::preserve, [](std::string_view) {});
  EXPECT_EQ(directory().metadata().status, state::Status::frozen);
  EXPECT_EQ(freezer.there.size(), 1U);
  stop_bottle(backends, place.home, "box", AfterStop::remove, [](std::string_view) {});
  EXPECT_THAT(freezer.there, IsEmpty());
  EXPECT_THAT(state::list_slugs(place.home), IsEmpty());
}

}  // namespace
}  // namespace bot_bottle::launch
