// The frame of a model: every size, every text.
#include <gtest/gtest.h>

#include "tests/unit/core/screen/fixture.hpp"

namespace bot_bottle::screen {
namespace {

const std::string hostile = std::string("\x1b]0;owned\x07\x1b[2J\x1b[1;1H\r\n\t\0\u202eevil\u200b", 33) +
                            "e\u0301\u0301" + std::string(3000, 'x') + "\xff\xc3 \u05d0";

TEST(View, K4_no_text_of_an_agent_leaves_its_cells) {
  Desk desk;
  auto one = Desk::proposal("alpha", "one1", hostile);
  one.kind = one.justification = one.reason = one.by = one.proposed_at = one.before = hostile;
  one.after = hostile + "\n" + hostile;
  one.facts = {{hostile, hostile}};
  one.choices = {hostile};
  desk.proposals = {one};
  desk.bottles[1].name = desk.bottles[1].status = desk.bottles[1].backend = hostile;
  desk.bottles[2].complaint = hostile;
  desk.events = {{hostile, hostile, hostile, hostile, hostile}};
  desk.update();
  const auto check = [&](const char* where) {
    for (const std::size_t columns : {40UL, 80UL, 120UL, 200UL}) {
      desk.columns = columns;
      for (const Charset charset : {Charset::ascii, Charset::unicode}) {
        const Frame frame = render(desk.model, desk.rows, columns, charset, desk.now);
        for (std::size_t row = 0; row < frame.rows(); ++row)
          for (std::size_t column = 0; column < frame.columns(); ++column) {
            const char32_t point = frame.at(row, column).point;
            ASSERT_TRUE(point == 0 || (point >= 0x20 && point != 0x7F)) << where;
            ASSERT_TRUE(charset == Charset::unicode || point < 0x7F) << where;
            ASSERT_NE(point, 0x202EU) << where;
            ASSERT_NE(point, 0x301U) << where;
          }
      }
    }
  };
  check("panes");
  EXPECT_NE(desk.text().find("\\x1b"), std::string::npos);
  desk.look();
  check("detail");
  desk.press(U'w');
  check("detail, all words");
  desk.model.say(hostile, Tone::bad);
  check("message");
}

TEST(View, K4_no_line_of_an_agent_passes_for_one_of_ours) {
  Desk desk;
  auto one = Desk::proposal("alpha", "one1");
  one.justification = "thanks\n\nthe exact change to what is live\n    (nothing)\n\nend of one1";
  one.after = one.before + "end of one1\nwhat was computed\n";
  desk.proposals = {one};
  desk.update();
  desk.look();
  const auto lines = lay_out_detail(desk.model, 80, Charset::unicode);
  int headings = 0;
  for (const TextLine& line : lines)
    if (line.text == U"the exact change to what is live" || line.text == U"end of one1" ||
        line.text == U"what was computed")
      ++headings;
  EXPECT_EQ(headings, 3) << "each of ours once, at the left edge";
}

TEST(View, computed_facts_come_before_the_agents_words_and_the_change_after_them) {
  Desk desk;
  desk.proposals = {Desk::proposal("alpha", "one1")};
  desk.update();
  desk.look();
  const std::string text = desk.text();
  const auto at = [&](const char* what) { return text.find(what); };
  ASSERT_NE(at("a new host"), std::string::npos);
  EXPECT_LT(at("asked by alpha"), at("a new host"));
  EXPECT_LT(at("a new host"), at("I need it"));
  EXPECT_LT(at("I need it"), at("+   - host: api.example.com"));
  EXPECT_NE(at("resolves to: not asked"), std::string::npos);
}

TEST(View, every_size_shows_something_and_none_breaks) {
  Desk desk;
  for (int i = 0; i < 30; ++i) {
    desk.proposals.push_back(Desk::proposal("alpha", fmt::format("p{:02}", i), fmt::format("h{}.example.com", i)));
    desk.events.push_back({"alpha", "2026-11-28T19:00:00.000Z", "egress", "block", fmt::format("event {}", i)});
  }
  desk.update();
  for (std::size_t rows = 1; rows < 70; rows += 3)
    for (std::size_t columns = 1; columns < 210; columns += 7) {
      desk.rows = rows;
      desk.columns = columns;
      desk.settle();
      EXPECT_FALSE(desk.text().empty());
    }
}

TEST(View, the_selected_line_is_always_shown) {
  Desk desk;
  for (int i = 0; i < 30; ++i)
    desk.proposals.push_back(Desk::proposal("alpha", fmt::format("p{:02}", i), fmt::format("h{}.example.com", i)));
  desk.update();
  for (int i = 0; i < 30; ++i) {
    EXPECT_NE(desk.text().find(fmt::format(" h{}.example.com", i)), std::string::npos) << i;
    desk.press(U'j');
  }
}

TEST(View, without_unicode_all_is_ascii_and_nothing_is_told_by_colour_alone) {
  Desk desk;
  desk.proposals = {Desk::proposal("alpha", "one1")};
  desk.update();
  EXPECT_EQ(desk.text(Charset::ascii).find_first_not_of("\n"),
            desk.text(Charset::ascii).find(" bot-bottle") == 0 ? 0 : 1);
  for (const char c : desk.text(Charset::ascii)) ASSERT_LT(static_cast<unsigned char>(c), 0x80);
  desk.look();
  for (const char c : desk.text(Charset::ascii)) ASSERT_LT(static_cast<unsigned char>(c), 0x80);
  EXPECT_NE(desk.text(Charset::ascii).find("  + "), std::string::npos);
}

}  // namespace
}  // namespace bot_bottle::screen
