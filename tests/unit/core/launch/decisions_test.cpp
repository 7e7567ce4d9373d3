// Decisions outlive their bottle: from the journal's file to the audit, whatever removes the state.
#include "core/launch/decisions.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

#include "core/audit/chain.hpp"
#include "core/audit/verify.hpp"
#include "core/launch/removal.hpp"
#include "core/supervise/journal.hpp"
#include "fakes.hpp"

namespace bot_bottle::launch {
namespace {

using namespace testing_fakes;

class DecisionsTest : public testing::Test {
 protected:
  state::Directory add(const std::string& slug = "one") {
    state::Metadata metadata;
    metadata.slug = slug;
    metadata.backend = "alpha";
    state::Directory directory = state::Directory::reserve(place.home, metadata);
    directory.write_document("plan.json", {{"slug", slug}});
    return directory;
  }
  /// Two records for the audit: rejected ones.
  static void decide(const state::Directory& directory, int count) {
    auto journal = or_throw(supervise::Journal::open(directory.path() / "supervise"));
    for (int i = 0; i < count; ++i) {
      const auto proposal =
          or_throw(journal.propose("git-allow", {{"i", i}, {"salt", directory.slug()}}, {}, "please"));
      or_throw(journal.answer(proposal.id, supervise::Decision::reject, proposal.hash, "no", "root"));
    }
  }
  [[nodiscard]] std::vector<std::string> recorded(const std::string& slug = "one") const {
    std::vector<std::string> all;
    audit::for_each_line(place.home, slug,
                         [&](const json::object& line) { all.push_back(get_string(line, "decision")); });
    return all;
  }
  Backends backends() {
    return {.names = {"alpha"}, .get = [this](const std::string&) -> plugins::Backend& { return alpha; }};
  }
  Place place;
  FakeBackend alpha{"alpha"};
};

TEST_F(DecisionsTest, what_the_journal_has_is_recorded_once_before_the_state_goes) {
  const state::Directory directory = add();
  decide(directory, 2);
  keep_decisions(place.home, directory);
  keep_decisions(place.home, directory);
  EXPECT_EQ(recorded(), (std::vector<std::string>{"reject", "reject"}));
  directory.remove();
  const state::Directory again = add();  // a bottle of the same name counts from one again
  decide(again, 1);
  keep_decisions(place.home, again);
  EXPECT_EQ(recorded().size(), 3U);
  EXPECT_TRUE(audit::verify(place.home, "one").is_whole());
}

TEST_F(DecisionsTest, stop_and_cleanup_keep_what_was_decided) {
  {
    const state::Directory directory = add("stopped");
    decide(directory, 1);
  }
  stop_bottle(backends(), place.home, "stopped", AfterStop::remove, [](std::string_view) {});
  EXPECT_EQ(recorded("stopped").size(), 1U);
  {
    const state::Directory directory = add("orphan");
    decide(directory, 2);
    state::Metadata metadata = directory.metadata();
    metadata.cli = {};
    directory.write_metadata(metadata);
  }
  const CleanupPlan plan = plan_cleanup(backends(), place.home, Preserved::removed);
  EXPECT_TRUE(run_cleanup(backends(), place.home, plan, Preserved::removed).empty());
  EXPECT_TRUE(state::list_slugs(place.home).empty());
  EXPECT_EQ(recorded("orphan").size(), 2U);
}

TEST_F(DecisionsTest, a_bottle_that_decided_nothing_has_no_audit) {
  const state::Directory directory = add();
  keep_decisions(place.home, directory);
  EXPECT_EQ(decisions_recorded(place.home, directory), 0U);
  EXPECT_TRUE(audit::list_audits(place.home).empty());
}

TEST_F(DecisionsTest, D2_a_journal_that_a_taken_over_sidecar_broke_is_recorded_as_lost_and_the_state_goes) {
  const state::Directory directory = add();
  decide(directory, 1);
  std::ofstream(directory.path() / "supervise" / "journal.jsonl", std::ios::app) << "not json\n";
  keep_decisions(place.home, directory);
  ASSERT_EQ(recorded(), std::vector<std::string>{"lost"});
  EXPECT_TRUE(audit::verify(place.home, "one").is_whole());
  const state::Directory piped = add("piped");
  std::filesystem::create_directories(piped.path() / "supervise");
  ASSERT_EQ(::mkfifo((piped.path() / "supervise" / "journal.jsonl").c_str(), 0600), 0);
  keep_decisions(place.home, piped);  // and does not wait for a writer
  EXPECT_EQ(recorded("piped"), std::vector<std::string>{"lost"});
}

TEST_F(DecisionsTest, a_state_stays_when_its_decisions_cannot_be_kept) {
  {
    const state::Directory directory = add();
    decide(directory, 1);
  }
  std::filesystem::create_directories(place.home.audit());
  std::ofstream(audit::file_of(place.home, "one")) << "somebody's\n";
  EXPECT_THROW(stop_bottle(backends(), place.home, "one", AfterStop::remove, [](std::string_view) {}), Failure);
  EXPECT_EQ(state::list_slugs(place.home), std::vector<std::string>{"one"});
}

}  // namespace
}  // namespace bot_bottle::launch
