// Units of an answer: nothing is given out before it was judged, however it is cut; what is given out is what came.
#include "sidecar/mcp/events.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bot_bottle::mcp {
namespace {

using testing::ElementsAre;
using Kind = AnswerUnits::Kind;

struct Reading {
  std::vector<std::string> units;
  std::string out;
  bool stopped = false;
  std::size_t too_large = 0;
  char large_begins = '\0';
};

/// `stop_at`: the text that a judge refuses.
Reading read_in_pieces(Kind kind, std::string_view text, std::size_t piece, std::string_view stop_at = "\x01") {
  Reading reading;
  std::size_t given = 0;
  AnswerUnits units(kind, [&](std::string_view unit, AnswerUnits::Size size) {
    given = reading.out.size();
    reading.too_large += size == AnswerUnits::Size::too_large ? 1U : 0U;
    if (size == AnswerUnits::Size::too_large && !unit.empty()) reading.large_begins = unit.front();
    if (size == AnswerUnits::Size::fits && !unit.empty()) reading.units.emplace_back(unit);
    return unit != stop_at;
  });
  for (std::size_t at = 0; at < text.size() && !reading.stopped; at += piece)
    reading.stopped = !units.write(text.substr(at, piece), reading.out);
  if (!reading.stopped) reading.stopped = !units.finish(reading.out);
  return reading;
}

TEST(McpEvents, events_are_cut_as_the_standard_says_however_they_come) {
  const std::string text =
      "\xef\xbb\xbf"
      "data: {\"a\":\ndata: 1}\n\n: a comment\n\nevent: message\r\nid: 7\r\ndata:two\r\n\r\ndata\rdata: \r\rdatax: "
      "no\n\n"
      "retry: 1\n\n\n\ndata: last";
  for (std::size_t piece = 1; piece <= text.size(); ++piece) {
    const Reading reading = read_in_pieces(Kind::events, text, piece);
    EXPECT_THAT(reading.units, ElementsAre("{\"a\":\n1}", "two", "\n", "last")) << piece;
    EXPECT_EQ(reading.out, text) << piece;
  }
}

TEST(McpEvents, nothing_of_a_refused_unit_and_of_what_follows_is_given_out) {
  const std::string text = "data: one\n\nid: 2\ndata: bad\n\ndata: three\n\n";
  for (std::size_t piece = 1; piece <= text.size(); ++piece) {
    const Reading reading = read_in_pieces(Kind::events, text, piece, "bad");
    EXPECT_TRUE(reading.stopped);
    EXPECT_EQ(reading.out, "data: one\n\n") << piece;
    EXPECT_TRUE(read_in_pieces(Kind::whole, text, piece, text).out.empty());
  }
}

TEST(McpEvents, a_whole_body_is_one_unit) {
  for (const std::size_t piece : {1U, 3U, 100U}) {
    const Reading reading = read_in_pieces(Kind::whole, "{\"a\": 1}\n\n", piece);
    EXPECT_THAT(reading.units, ElementsAre("{\"a\": 1}\n\n"));
    EXPECT_EQ(reading.out, "{\"a\": 1}\n\n");
  }
}

TEST(McpEvents, what_is_too_large_is_told_once_and_passes_when_it_may) {
  const std::string line(max_message_octets + 10, 'x');
  for (const std::string& text :
       {"data: " + line + "\n\ndata: next\n\n", "data: a\ndata: " + line + "\ndata: b\n\ndata: next\n\n",
        "data: " + line + "\r\n" + line + "\r\n\r\ndata: next\r\n\r\n"}) {
    const Reading reading = read_in_pieces(Kind::events, text, 70'001);
    EXPECT_EQ(reading.too_large, 1U);
    EXPECT_THAT(reading.large_begins, testing::AnyOf('x', 'a')) << "the data, not its field's name";
    EXPECT_THAT(reading.units, ElementsAre("next"));
    EXPECT_EQ(reading.out.size(), text.size());
    EXPECT_TRUE(reading.out == text);
  }
  const Reading whole = read_in_pieces(Kind::whole, line, 70'001);
  EXPECT_EQ(whole.too_large, 1U);
  EXPECT_TRUE(whole.units.empty() && whole.out == line);
}

}  // namespace
}  // namespace bot_bottle::mcp
