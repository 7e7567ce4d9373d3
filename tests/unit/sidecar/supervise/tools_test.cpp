#include "sidecar/supervise/tools.hpp"

#include <gtest/gtest.h>

namespace bot_bottle::supervise {
namespace {

json::object object(std::string_view text) {
  return or_throw(parse_json_object(text));
}

TEST(Tools, a_route_has_one_spelling_whatever_way_it_was_asked_for) {
  const auto one = read_call(egress_block, object(R"({"host":"API.example.com.","justification":"a",
    "matches":[{"methods":["get"],"paths":[{"type":"prefix","value":"/v1"}]}]})"));
  const auto other =
      read_call(egress_block, object(R"({"justification":"b","matches":[{"paths":[{"value":"/v1","type":"prefix"}],
    "methods":["GET"]}],"host":"api.example.com"})"));
  ASSERT_TRUE(one.question && other.question);
  EXPECT_EQ(json::serialize(one.question->change), json::serialize(other.question->change));
}

TEST(Tools, an_agents_words_are_kept_as_they_will_be_shown) {
  const auto asked = read_call(ask_operator, object(R"({"question":"a\u001b[2J\u202eb","choices":["x\ny"]})"));
  ASSERT_TRUE(asked.question);
  const std::string text = json::serialize(asked.question->change);
  EXPECT_EQ(text.find("\\u001b"), std::string::npos) << text;
  EXPECT_EQ(text.find("\xe2\x80\xae"), std::string::npos) << text;
  EXPECT_EQ(get_strings(asked.question->change, "choices").at(0).find('\n'), std::string::npos);
}

TEST(Tools, what_does_not_fit_the_schema_is_told_from_what_cannot_be_had) {
  EXPECT_FALSE(read_call(egress_block, object(R"({"host":"a.example.com"})")).bad_arguments.empty());
  EXPECT_FALSE(read_call(egress_block, object(R"({"host":5,"justification":"j"})")).bad_arguments.empty());
  EXPECT_FALSE(read_call("list-egress-routes", object(R"({"x":1})")).bad_arguments.empty());
  const auto address = read_call(egress_block, object(R"({"host":"10.0.0.1","justification":"j"})"));
  EXPECT_TRUE(address.bad_arguments.empty());
  ASSERT_TRUE(address.reply);
  EXPECT_TRUE(address.reply->is_error);
}

TEST(Tools, every_tool_that_is_listed_is_one) {
  const json::object list = tools_list();
  EXPECT_EQ(list.at("tools").as_array().size(), 6U);
  for (const json::value& tool : list.at("tools").as_array())
    EXPECT_TRUE(is_tool(get_string(tool.as_object(), "name")));
  EXPECT_FALSE(is_tool("egress-block "));
}

TEST(Tools, structured_content_is_for_revisions_that_know_it) {
  const ToolReply reply{"x", false, {{"a", 1}}};
  EXPECT_TRUE(to_result(reply, "2025-06-18").contains("structuredContent"));
  EXPECT_FALSE(to_result(reply, "2025-03-26").contains("structuredContent"));
}

}  // namespace
}  // namespace bot_bottle::supervise
