// What gets into a cell, and what cannot.
#include "core/screen/frame.hpp"

#include <gtest/gtest.h>

namespace bot_bottle::screen {
namespace {

std::string shown(std::string_view text, Charset charset = Charset::unicode) {
  Frame frame(1, 400, charset);
  frame.put(0, 0, 400, text, Style::plain);
  return frame.text(0);
}

TEST(Visible, K4_control_bidi_and_invisible_characters_are_shown_by_their_numbers) {
  EXPECT_EQ(shown("a\x1b[2Jb"), "a\\x1b[2Jb");
  EXPECT_EQ(shown(std::string_view("a\0b\r\n\t\x7f", 7)), "a\\x00b\\x0d\\x0a\\x09\\x7f");
  EXPECT_EQ(shown("\u202eevil\u2066\u200b"), "\\u{202e}evil\\u{2066}\\u{200b}");
  EXPECT_EQ(shown("\xc2\x9b"
                  "31m"),
            "\\u{9b}31m")
      << "CSI of the C1 set";
  EXPECT_EQ(shown("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(shown("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "a surrogate";
  EXPECT_EQ(shown("\xf3\xa0\x81\x81"), "\\u{e0041}") << "a tag";
}

TEST(Visible, K4_what_terminals_measure_differently_is_shown_by_its_number) {
  EXPECT_EQ(shown("e\u0301\u0301\u0301"), "e\\u{301}\\u{301}\\u{301}") << "marks pile up on a neighbour's line";
  EXPECT_EQ(shown("\u05d0\u0627"), "\\u{5d0}\\u{627}") << "right-to-left letters turn what is around them";
  EXPECT_EQ(shown("\U0001F468\u200d\U0001F469"), "\\u{1f468}\\u{200d}\\u{1f469}");
  EXPECT_EQ(shown("\U0001F1E9\U0001F1EA"), "\\u{1f1e9}\\u{1f1ea}");
  EXPECT_EQ(shown("\ue000"), "\\u{e000}");
}

TEST(Visible, letters_of_many_languages_are_letters) {
  EXPECT_EQ(shown("Größe, Ωmega, Привет, 東京, 한글, カナ → ok"), "Größe, Ωmega, Привет, 東京, 한글, カナ → ok");
  EXPECT_EQ(shown("Größe", Charset::ascii), "Gr\\u{f6}\\u{df}e");
}

TEST(Frame, a_text_stays_in_its_place_and_says_that_it_was_cut) {
  Frame frame(2, 20, Charset::unicode);
  frame.put(0, 2, 6, "0123456789", Style::plain);
  frame.put(0, 8, 3, "ab", Style::good);
  EXPECT_EQ(frame.text(0), "  01234…ab");
  frame.put(1, 16, 50, "0123456789", Style::plain);
  EXPECT_EQ(frame.text(1), std::string(16, ' ') + "012…");
  frame.put(7, 0, 5, "x", Style::plain);
  frame.put(0, 99, 5, "x", Style::plain);
  Frame ascii(1, 5, Charset::ascii);
  ascii.put(0, 0, 5, "0123456789", Style::plain);
  EXPECT_EQ(ascii.text(0), "0123~");
}

TEST(Frame, a_wide_character_takes_two_columns_and_is_never_halved) {
  Frame frame(1, 10, Charset::unicode);
  frame.put(0, 0, 4, "東京都庁", Style::plain);
  frame.put(0, 4, 6, "|next", Style::plain);
  EXPECT_EQ(frame.text(0), "東… |next");
  EXPECT_EQ(frame.at(0, 1).point, 0U);
  EXPECT_EQ(columns_of(visible("東a", Charset::unicode)), 3U);
}

TEST(Wrap, keeps_everything_and_fits) {
  const auto text = visible("the quick brown fox " + std::string(50, 'x') + " 東京都庁東京都庁", Charset::unicode);
  for (std::size_t width = 2; width < 30; ++width) {
    std::u32string all;
    for (const std::u32string& line : wrap(text, width)) {
      EXPECT_LE(columns_of(line), width);
      all += line;
    }
    EXPECT_EQ(all, text);
  }
  EXPECT_EQ(wrap(U"", 10).size(), 1U);
}

}  // namespace
}  // namespace bot_bottle::screen
