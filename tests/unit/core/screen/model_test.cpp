// Keys to actions: what a key acts on is what was looked at.
#include <gtest/gtest.h>

#include "tests/unit/core/screen/fixture.hpp"

namespace bot_bottle::screen {
namespace {

using What = Action::What;
using Code = Key::Code;

TEST(Model, an_answer_names_the_hash_of_what_was_on_the_screen) {
  Desk desk;
  desk.proposals = {Desk::proposal("alpha", "one1"), Desk::proposal("beta", "two2")};
  desk.update();
  desk.press(U'j');
  desk.look();
  const Action action = desk.press(U'a');
  EXPECT_EQ(action.what, What::approve);
  EXPECT_EQ(action.slug, "beta");
  EXPECT_EQ(action.key.id, "two2");
  EXPECT_EQ(action.hash, "hash-two2");
  EXPECT_EQ(desk.press(U'a').what, What::none) << "once";
}

TEST(Model, the_first_press_in_the_list_shows_and_does_not_answer) {
  for (const char32_t key : {U'a', U't', U'm', U'r'}) {
    Desk desk;
    desk.proposals = {Desk::proposal("alpha", "one1")};
    desk.update();
    EXPECT_EQ(desk.press(key).what, What::opened);
    EXPECT_TRUE(desk.model.detail);
  }
}

TEST(Model, what_has_just_come_up_cannot_be_approved) {
  Desk desk;
  desk.proposals = {Desk::proposal("alpha", "one1")};
  desk.update();
  desk.press(Key{Code::enter});
  EXPECT_EQ(desk.press(U'a').what, What::none);
  desk.wait(least_look);
  EXPECT_EQ(desk.press(U'a').what, What::approve);
}

TEST(Model, K3_a_change_that_moves_under_the_operators_eyes_is_not_approved_unread) {
  Desk desk;
  desk.proposals = {Desk::proposal("alpha", "one1")};
  desk.update();
  desk.look();
  desk.press(U't');  // even in the middle of an answer
  desk.press(U't');
  EXPECT_EQ(desk.model.mode, Mode::prompt);
  desk.proposals[0].hash = "hash-other";
  desk.proposals[0].after += "  - host: evil.example.com\n";
  desk.update();
  desk.settle();
  EXPECT_EQ(desk.model.mode, Mode::detail);
  EXPECT_EQ(desk.press(U'a').what, What::none);
  EXPECT_NE(desk.text().find("MOVED"), std::string::npos);
  EXPECT_NE(desk.text().find("evil.example.com"), std::string::npos);
  desk.wait(least_look);
  EXPECT_EQ(desk.press(U'a').hash, "hash-other");
}

TEST(Model, what_does_not_fit_is_approved_only_after_its_end_was_seen) {
  Desk desk;
  auto one = Desk::proposal("alpha", "one1");
  for (int i = 0; i < 60; ++i) one.after += fmt::format("  - host: h{}.example.com\n", i);
  desk.proposals = {one};
  desk.update();
  desk.look();
  EXPECT_EQ(desk.press(U'a').what, What::none);
  EXPECT_NE(desk.text().find("look at all of it first"), std::string::npos);
  EXPECT_NE(desk.text().find("more lines below"), std::string::npos);
  EXPECT_EQ(desk.press(U'r').what, What::none) << "a no asks for its reason only";
  EXPECT_EQ(desk.model.mode, Mode::prompt);
  desk.press(Key{Code::escape});
  desk.press(Key{Code::end});
  EXPECT_EQ(desk.press(U'a').what, What::approve);
}

TEST(Model, the_agents_words_cannot_push_the_change_off_the_screen) {
  Desk desk;
  auto one = Desk::proposal("alpha", "one1");
  for (int i = 0; i < 200; ++i) one.justification += "please\n";
  desk.proposals = {one};
  desk.update();
  desk.look();
  EXPECT_NE(desk.text().find("+   - host: api.example.com"), std::string::npos) << desk.text();
  EXPECT_NE(desk.text().find("more lines of it: w"), std::string::npos);
  desk.press(U'w');
  EXPECT_EQ(desk.text().find("+   - host: api.example.com"), std::string::npos);
}

TEST(Model, what_arrives_does_not_move_the_selection) {
  Desk desk;
  desk.proposals = {Desk::proposal("alpha", "one1"), Desk::proposal("beta", "two2")};
  desk.update();
  desk.press(U'j');
  desk.proposals.insert(desk.proposals.begin(), Desk::proposal("gamma", "zero"));
  EXPECT_EQ(desk.update(), 1U);
  desk.look();
  EXPECT_EQ(desk.press(U'a').key.id, "two2");
}

TEST(Model, the_same_id_in_two_bottles_is_two_proposals) {
  Desk desk;
  desk.proposals = {Desk::proposal("alpha", "same", "a.example.com"), Desk::proposal("beta", "same", "b.example.com")};
  desk.proposals[1].hash = "other";
  desk.update();
  desk.press(U'j');
  desk.look();
  const Action action = desk.press(U'a');
  EXPECT_EQ(action.slug, "beta");
  EXPECT_EQ(action.hash, "other");
}

TEST(Model, t_narrows_in_each_way) {
  const auto approve = [](const std::u32string& keys, bool enter) {
    Desk desk;
    desk.proposals = {Desk::proposal("alpha", "one1")};
    desk.update();
    desk.look();
    Action action;
    for (const char32_t key : keys) action = desk.press(key);
    if (enter) action = desk.press(Key{Code::enter});
    return action;
  };
  EXPECT_TRUE(approve(U"to", false).narrow.once);
  EXPECT_EQ(approve(U"tt10m", true).narrow.seconds, 600U);
  EXPECT_EQ(approve(U"tr5", true).narrow.requests, 5U);
  EXPECT_EQ(approve(U"tb1MiB", true).narrow.bytes, 1U << 20U);
  for (const char32_t* bad : {U"tt", U"ttsoon", U"tr0", U"tr-1", U"tb5", U"tx"})
    EXPECT_EQ(approve(bad, true).what == What::approve && !approve(bad, true).narrow.is_set(), false);
  EXPECT_EQ(approve(U"ttsoon", true).what, What::none) << "what cannot be read approves nothing";
}

TEST(Model, a_question_is_answered_with_a_text_or_a_choice) {
  Desk desk;
  auto one = Desk::proposal("alpha", "ask1");
  one.kind = "ask-operator";
  one.change = {{"question", "which one?"}};
  one.choices = {"red", "blue"};
  one.before = one.after = "";
  desk.proposals = {one};
  desk.update();
  desk.look();
  EXPECT_EQ(desk.press(U'a').what, What::none);
  EXPECT_EQ(desk.press(Key{Code::enter}).what, What::none) << "no text, no answer";
  desk.press(U'a');
  desk.press(U'2');
  EXPECT_EQ(desk.press(Key{Code::enter}).text, "blue");
}

TEST(Model, a_reason_is_typed_and_goes_with_the_no) {
  Desk desk;
  desk.proposals = {Desk::proposal("alpha", "one1")};
  desk.update();
  desk.look();
  desk.press(U'r');
  for (const char32_t key : std::u32string(U"näh")) desk.press(key);
  desk.press(Key{Code::backspace});
  EXPECT_NE(desk.text().find("nä_"), std::string::npos);
  const Action action = desk.press(Key{Code::enter});
  EXPECT_EQ(action.what, What::reject);
  EXPECT_EQ(action.text, "nä");
}

TEST(Model, new_ones_are_marked_for_five_seconds_and_old_ones_never) {
  Desk desk;
  desk.proposals = {Desk::proposal("alpha", "old1")};
  desk.model.opened_at = "2026-11-28T19:00:00.001Z";
  EXPECT_EQ(desk.update(), 0U);
  EXPECT_EQ(desk.text().find("NEW"), std::string::npos);
  desk.proposals.push_back(Desk::proposal("beta", "new1"));
  desk.proposals.back().proposed_at = "2026-11-28T19:00:00.001Z";
  EXPECT_EQ(desk.update(), 1U);
  EXPECT_NE(desk.text().find("NEW"), std::string::npos);
  EXPECT_EQ(desk.model.next_change(desk.now), desk.now + mark_time);
  desk.wait(mark_time);
  EXPECT_EQ(desk.text().find("NEW"), std::string::npos);
  EXPECT_EQ(desk.model.next_change(desk.now), Time::max());
}

TEST(Model, a_proposal_that_goes_away_closes_its_detail) {
  Desk desk;
  desk.proposals = {Desk::proposal("alpha", "one1")};
  desk.update();
  desk.look();
  desk.press(U'r');
  desk.proposals.clear();
  desk.update();
  EXPECT_FALSE(desk.model.detail);
  EXPECT_EQ(desk.model.mode, Mode::panes);
  EXPECT_EQ(desk.press(U'a').what, What::none);
}

TEST(Model, panes_bottles_and_ways_out) {
  Desk desk;
  desk.update();
  desk.press(Key{Code::tab});
  EXPECT_EQ(desk.model.focus, Pane::bottles);
  EXPECT_EQ(desk.press(Key{Code::down}).slug, "beta") << "the selection moved: tmux follows";
  EXPECT_EQ(desk.press(Key{Code::enter}).what, What::attach);
  EXPECT_EQ(desk.press(U'e').slug, "beta");
  EXPECT_EQ(desk.press(U'x').what, What::none);
  EXPECT_EQ(desk.press(Key{Code::enter}).what, What::none) << "only y stops";
  desk.press(U'x');
  EXPECT_EQ(desk.press(U'y').what, What::stop);
  EXPECT_EQ(desk.press(U'n').what, What::start);
  desk.press(U'?');
  EXPECT_EQ(desk.press(U'q').what, What::none);
  EXPECT_EQ(desk.press(U'q').what, What::quit);
}

}  // namespace
}  // namespace bot_bottle::screen
