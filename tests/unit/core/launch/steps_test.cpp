// The list of steps and their undos, without any bottle.
#include "core/launch/steps.hpp"

#include <gtest/gtest.h>

#include <csignal>

namespace bot_bottle::launch {
namespace {

struct StepsTest : testing::Test {
  tui::Progress progress{tui::Progress::Style::none, 2};
  Signals signals;
  Steps steps{progress, signals};
  std::vector<std::string> log;
  void add(const std::string& name) {
    steps.run(name, [&] {
      log.push_back(name);
      steps.on_undo(name, [this, name] { log.push_back("undo " + name); });
    });
  }
};

TEST_F(StepsTest, undos_run_in_reverse_and_only_once) {
  add("a");
  add("b");
  add("c");
  const auto undone = steps.unwind();
  EXPECT_EQ(log, (std::vector<std::string>{"a", "b", "c", "undo c", "undo b", "undo a"}));
  EXPECT_EQ(undone.done, (std::vector<std::string>{"c", "b", "a"}));
  EXPECT_TRUE(steps.unwind().done.empty());
}

TEST_F(StepsTest, a_failing_undo_is_reported_and_the_rest_still_run) {
  add("a");
  steps.on_undo("bad", [] { throw Failure(make_error(ErrorKind::timeout, "stuck")); });
  steps.on_undo("worse", [] { throw std::runtime_error("broken"); });
  add("c");
  const auto undone = steps.unwind();
  EXPECT_EQ(undone.done, (std::vector<std::string>{"c", "a"}));
  ASSERT_EQ(undone.failed.size(), 2U);
  EXPECT_EQ(undone.failed[0].first, "worse");
  EXPECT_EQ(undone.failed[0].second.kind, ErrorKind::internal);
  EXPECT_EQ(undone.failed[1].second.message, "stuck");
}

TEST_F(StepsTest, a_failing_step_leaves_the_undos_of_what_it_had_done) {
  add("a");
  EXPECT_THROW(steps.run("b",
                         [&] {
                           steps.on_undo("half of b", [this] { log.push_back("undo b"); });
                           throw Failure(make_error(ErrorKind::internal, "no"));
                         }),
               Failure);
  steps.unwind();
  EXPECT_EQ(log, (std::vector<std::string>{"a", "undo b", "undo a"}));
}

TEST_F(StepsTest, a_signal_stops_before_the_next_step) {
  add("a");
  ::raise(SIGTERM);
  try {
    add("b");
    FAIL() << "the step ran";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::cancelled);
  }
  EXPECT_EQ(log, (std::vector<std::string>{"a"}));
}

TEST_F(StepsTest, nothing_interrupts_the_way_back_and_the_agent_owns_its_interrupt) {
  signals.set_phase(Signals::Phase::attached);
  ::raise(SIGINT);
  EXPECT_EQ(signals.received(), 0);
  signals.set_phase(Signals::Phase::undoing);
  ::raise(SIGTERM);
  ::raise(SIGHUP);
  EXPECT_EQ(signals.received(), 0);
  signals.set_phase(Signals::Phase::attached);
  ::raise(SIGHUP);
  EXPECT_EQ(signals.received(), SIGHUP);
}

TEST(SignalsTest, handlers_are_given_back) {
  { const Signals signals; }
  struct sigaction now {};
  ::sigaction(SIGTERM, nullptr, &now);
  EXPECT_EQ(now.sa_handler, SIG_DFL);
}

}  // namespace
}  // namespace bot_bottle::launch
