#include "core/supervise/journal.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/base/file.hpp"

namespace bot_bottle::supervise {
namespace {

class JournalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "bb-journal-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  Journal open(JournalLimits limits = {}) { return or_throw(Journal::open(directory_, limits)); }
  std::filesystem::path file() const { return directory_ / "journal.jsonl"; }
  std::filesystem::path directory_;
};

const json::object change{{"repo", "app"}, {"fingerprints", json::array{"c:f:r:1"}}};

TEST_F(JournalTest, what_was_decided_is_there_after_a_crash) {
  std::string id;
  {
    Journal journal = open();
    const Proposal proposal = or_throw(journal.propose("git-allow", change, {{"upstream", "h"}}, "please"));
    id = proposal.id;
    EXPECT_EQ(open().find(id)->state, State::pending);
    or_throw(journal.answer(id, Decision::approve, proposal.hash, "fine", "ann"));
    EXPECT_EQ(open().find(id)->state, State::approved);
    or_throw(journal.settle(id, std::nullopt));
  }
  const Journal again = open();
  ASSERT_EQ(again.all().size(), 1U);
  EXPECT_EQ(again.find(id)->state, State::applied);
  EXPECT_EQ(again.find(id)->by, "ann");
  EXPECT_EQ(again.find(id)->justification, "please");
  EXPECT_EQ(again.find(id)->change, change);
}

TEST_F(JournalTest, a_torn_last_line_was_never_said) {
  Journal journal = open();
  const Proposal proposal = or_throw(journal.propose("git-allow", change, {}, ""));
  const auto size = std::filesystem::file_size(file());
  or_throw(journal.answer(proposal.id, Decision::approve, proposal.hash, "", ""));
  // As if the machine had stopped at each octet of the answer.
  const std::string whole = or_throw(read_file(file()));
  for (std::size_t end = size; end < whole.size(); ++end) {
    std::ofstream(file(), std::ios::trunc) << whole.substr(0, end);
    EXPECT_EQ(open().find(proposal.id)->state, State::pending) << end;
    EXPECT_EQ(std::filesystem::file_size(file()), size);
  }
}

TEST_F(JournalTest, other_damage_is_an_error_and_not_a_guess) {
  Journal journal = open();
  const Proposal proposal = or_throw(journal.propose("git-allow", change, {}, ""));
  std::string text = or_throw(read_file(file()));
  text.replace(text.find("c:f:r:1"), 7, "c:f:r:9");
  std::ofstream(file(), std::ios::trunc) << text;
  EXPECT_FALSE(Journal::open(directory_));
  std::ofstream(file(), std::ios::trunc) << R"({"record":"applied","id":"nobody"})"
                                         << "\n";
  EXPECT_FALSE(Journal::open(directory_));
}

TEST_F(JournalTest, an_approval_names_exactly_what_was_looked_at) {
  Journal journal = open();
  const Proposal proposal = or_throw(journal.propose("git-allow", change, {}, ""));
  EXPECT_EQ(journal.answer(proposal.id, Decision::approve, hash_of_change("git-allow", {}), "", "").error().kind,
            ErrorKind::failed_precondition);
  EXPECT_EQ(journal.find(proposal.id)->state, State::pending);
  EXPECT_TRUE(journal.answer(proposal.id, Decision::reject, proposal.hash, "no", ""));
  EXPECT_FALSE(journal.answer(proposal.id, Decision::approve, proposal.hash, "", "")) << "a second answer";
  EXPECT_FALSE(journal.settle(proposal.id, std::nullopt)) << "what was rejected is not applied";
  EXPECT_EQ(journal.answer("nobody", Decision::approve, "", "", "").error().kind, ErrorKind::not_found);
}

TEST_F(JournalTest, the_same_question_is_one_proposal_until_it_is_answered) {
  Journal journal = open();
  const Proposal first = or_throw(journal.propose("git-allow", change, {}, ""));
  EXPECT_EQ(or_throw(journal.propose("git-allow", change, {}, "again")).id, first.id);
  or_throw(journal.answer(first.id, Decision::reject, first.hash, "", ""));
  EXPECT_NE(or_throw(journal.propose("git-allow", change, {}, "")).id, first.id);
}

TEST_F(JournalTest, a_failed_application_is_pending_again_with_its_reason) {
  Journal journal = open();
  const Proposal proposal = or_throw(journal.propose("x", change, {}, ""));
  or_throw(journal.answer(proposal.id, Decision::approve, proposal.hash, "", ""));
  or_throw(journal.settle(proposal.id, "the disk is full"));
  EXPECT_EQ(open().find(proposal.id)->state, State::pending);
  EXPECT_EQ(open().find(proposal.id)->reason, "the disk is full");
}

TEST_F(JournalTest, flooding_is_refused) {
  Journal journal = open({.pending = 3, .an_hour = 5});
  for (int i = 0; i < 3; ++i) or_throw(journal.propose("x", {{"i", i}}, {}, ""));
  const auto refused = journal.propose("x", {{"i", 3}}, {}, "");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("rate limited"), std::string::npos);
  for (int i = 0; i < 2; ++i) {
    const Proposal one = journal.all()[static_cast<std::size_t>(i)];
    or_throw(journal.answer(one.id, Decision::reject, one.hash, "", ""));
    or_throw(journal.propose("x", {{"i", 10 + i}}, {}, ""));
  }
  const Proposal one = journal.all()[2];
  or_throw(journal.answer(one.id, Decision::reject, one.hash, "", ""));
  EXPECT_FALSE(journal.propose("x", {{"i", 20}}, {}, "")) << "more than five within the hour";
  EXPECT_FALSE(open().propose("x", {}, {}, std::string(300000, 'a'))) << "a text without end";
}

TEST_F(JournalTest, an_approval_names_the_live_state_that_it_would_change) {
  Journal journal = open();
  const Proposal seen = or_throw(journal.propose("egress-block", change, {}, "", {{"host", "a"}}));
  or_throw(journal.move(seen.id, {{"host", "a"}, {"more", true}}));
  EXPECT_NE(journal.find(seen.id)->hash, seen.hash);
  EXPECT_EQ(open().find(seen.id)->hash, journal.find(seen.id)->hash) << "after a crash, too";
  EXPECT_FALSE(journal.answer(seen.id, Decision::approve, seen.hash, "", ""));
  const std::uint64_t seq = journal.seq();
  or_throw(journal.move(seen.id, {{"host", "a"}, {"more", true}}));
  EXPECT_EQ(journal.seq(), seq) << "nothing moved";
}

TEST_F(JournalTest, every_decision_is_an_entry_in_its_order) {
  Journal journal = open();
  const Proposal one = or_throw(journal.propose("egress-block", change, {}, ""));
  or_throw(journal.answer(one.id, {.decision = Decision::approve,
                                   .hash = one.hash,
                                   .by = "ann",
                                   .narrow = {{"seconds", 60}},
                                   .before = "a",
                                   .after = "b"}));
  or_throw(journal.settle(one.id, "no"));
  or_throw(journal.answer(one.id, Decision::approve, one.hash, "", "ann"));
  or_throw(journal.settle(one.id, std::nullopt));
  or_throw(journal.expire(one.id, "used up", "b", "a"));
  or_throw(journal.edit("routes", "ann", {{"routes", json::array{}}}, "x", "y"));
  for (int life = 0; life < 2; ++life) {
    const Journal any = open();
    std::string all;
    std::uint64_t last = 0;
    for (const Entry& entry : any.entries()) {
      EXPECT_GT(entry.seq, last);
      last = entry.seq;
      all += entry.decision + " ";
    }
    EXPECT_EQ(all, "approve fail approve apply expire edit ");
    EXPECT_EQ(any.entries()[0].narrow, (json::object{{"seconds", 60}}));
    EXPECT_EQ(any.entries()[0].after, "b");
    EXPECT_EQ(any.entries()[5].edited, (json::object{{"routes", json::array{}}}));
    EXPECT_EQ(any.seq(), journal.seq());
  }
  EXPECT_FALSE(journal.expire(one.id, "", "", "")) << "once";
}

TEST_F(JournalTest, whether_the_agent_heard_it_is_remembered) {
  Journal journal = open();
  const Proposal one = or_throw(journal.propose("ask-operator", change, {}, ""));
  or_throw(journal.tell(one.id));
  EXPECT_FALSE(journal.find(one.id)->told) << "nothing was said yet";
  or_throw(journal.answer(one.id, {.decision = Decision::approve, .hash = one.hash, .text = "yes"}));
  or_throw(journal.settle(one.id, std::nullopt));
  EXPECT_FALSE(open().find_change("ask-operator", change)->told);
  EXPECT_EQ(open().find(one.id)->answer, "yes");
  or_throw(journal.tell(one.id));
  EXPECT_TRUE(open().find(one.id)->told);
}

TEST_F(JournalTest, a_modified_approval_is_what_the_operator_made_of_it) {
  Journal journal = open();
  const Proposal one = or_throw(journal.propose("egress-block", change, {}, "", {{"x", 1}}));
  const json::object other{{"repo", "lib"}};
  or_throw(
      journal.answer(one.id, {.decision = Decision::modify, .hash = one.hash, .change = other, .live = {{"y", 2}}}));
  EXPECT_EQ(open().find(one.id)->change, other);
  EXPECT_EQ(open().find(one.id)->state, State::modified);
  EXPECT_EQ(open().find(one.id)->hash, hash_of_change("egress-block", other, {{"y", 2}}));
}

}  // namespace
}  // namespace bot_bottle::supervise
