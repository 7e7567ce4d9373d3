// What is taken for a message of MCP or A2A, and what it is read to say.
#include "sidecar/mcp/message.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bot_bottle::mcp {
namespace {

using testing::ElementsAre;

TEST(McpMessage, the_first_octets_tell_a_message_from_other_json) {
  for (const char* text :
       {R"({"jsonrpc": "2.0", "id": 1, "method": "tools/call"})", "  \r\n{\n\t\"method\" : \"tools/call\"",
        R"([{"id":1,"jsonrpc":"2.0"}])", "\xef\xbb\xbf{\"params\":{}}", R"({"\u006asonrpc":"2.0"})", R"({"result":{}})",
        R"({"error":{}})"})
    EXPECT_EQ(first_look(text), Look::message) << text;
  for (const char* text : {R"({"model": "claude", "messages": []})", R"({"jsonrpcs": 1})", "a=b&c=d", "PK\x03\x04",
                           "[1,2]", R"(["jsonrpc"])", "{}", R"([[{"id":1}]])", "\xef\xbb\xc0{\"id\":1}"})
    EXPECT_EQ(first_look(text), Look::other) << text;
  EXPECT_EQ(first_look(""), Look::need_more);
  EXPECT_EQ(first_look("{\"jsonr"), Look::need_more);
  EXPECT_EQ(first_look(std::string(64, ' ') + R"({"id":1})"), Look::other) << "decided within 64 octets";
}

TEST(McpMessage, every_prefix_decides_as_the_whole_or_waits) {
  for (const char* text : {R"( [ {"method": "x", "jsonrpc": "2.0"} ])", R"({"model": "x", "stream": true})",
                           "\xef\xbb\xbf {\"id\": 7}", R"({"\u0069d": 7})"}) {
    const std::string_view whole = text;
    const Look verdict = first_look(whole);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const Look look = first_look(whole.substr(0, size));
      EXPECT_TRUE(look == verdict || look == Look::need_more) << whole.substr(0, size);
    }
  }
}

TEST(McpMessage, what_two_readers_may_read_in_two_ways_is_not_read) {
  EXPECT_TRUE(read("\xef\xbb\xbf{\"jsonrpc\":\"2.0\"}"));
  for (const char* text : {R"({"jsonrpc":"2.0","method":"a","method":"b"})", R"({"a":1,"\u0061":2})",
                           R"({"a":1}{"b":2})", R"({"a":"\ud800"})", "{\"a\":\"\xff\"}", R"({"a":NaN})", "{'a':1}",
                           R"({"a":1,})", "/* */{}", "\xef\xbb\xbf\xef\xbb\xbf{}", ""})
    EXPECT_FALSE(read(text)) << text;
  EXPECT_FALSE(read(std::string(40, '[') + std::string(40, ']'))) << "deeper than 32";
  EXPECT_FALSE(read("\"" + std::string(max_message_octets, 'x') + "\""));
}

TEST(McpMessage, strings_are_unescaped_each_and_joined_with_their_place) {
  const auto document = read(
      R"([{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"put","arguments":{"a":"gh\u0070_","list":["one",{"b":"two"}]}}},
          {"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"x\ny"}]}},
          {"jsonrpc":"1.0","params":"not one"}, 7])");
  ASSERT_TRUE(document);
  EXPECT_EQ(messages_of(*document).size(), 2U);
  const Strings strings = strings_of(*document);
  EXPECT_EQ(strings.joined,
            "putghp_onetwotextx\ny\nputghp_onetwox\ny\nputghp_onetwox\ny\nghp_onetwox\ny\nonetwox\ny\ntwox\ny\nx\ny");
  EXPECT_EQ(strings.each, "name\nput\narguments\na\nghp_\nlist\none\nb\ntwo\ncontent\ntype\ntext\ntext\nx\ny\n");
  EXPECT_EQ(strings.where(strings.each.find("ghp_")), "tools/call params.arguments.a");
  EXPECT_EQ(strings.where(strings.each.find("two")), "tools/call params.arguments.list[1].b");
  EXPECT_EQ(strings.where(strings.each.find("x\ny")), "result.content[0].text");
}

TEST(McpMessage, joining_many_strings_is_bounded) {
  std::string text = R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":[)";
  while (text.size() < max_message_octets - 10) text += "\"a\",";
  text += "0]}";
  const auto document = read(text);
  ASSERT_TRUE(document);
  EXPECT_LT(strings_of(*document).joined.size(), 4 * max_message_octets);
}

TEST(McpMessage, a_list_of_tools_is_found_in_any_message) {
  const auto document = read(
      R"([{"jsonrpc":"2.0","id":"a","result":{"tools":[{"name":"x"}],"nextCursor":"n"}},{"jsonrpc":"2.0","id":1,"result":{"tools":{}}},
          {"id":2,"result":{"tools":[1]}}])");
  ASSERT_EQ(tool_lists_of(*document).size(), 2U) << "a client may not ask for `jsonrpc`";
  EXPECT_EQ(tool_lists_of(*document)[0]->size(), 1U);
  EXPECT_TRUE(
      asks_for_tools(*read(R"([{"jsonrpc":"2.0","method":"ping"},{"jsonrpc":"2.0","id":3,"method":"tools/list"}])")));
  EXPECT_FALSE(asks_for_tools(*read(R"({"jsonrpc":"2.0","method":"tools/call"})")));
}

TEST(McpMessage, keys_that_a_lenient_client_reads_are_read) {
  for (const char* text :
       {R"({"jsonrpc":"2.0","id":1,"Result":{"TOOLS":[{"name":"a","description":"hidden"}]}})",
        R"({"JsonRPC":"2.0","id":1,"result":{"Tools":[{"name":"a","description":"hidden"}]}})",
        R"([{"jsonrpc":"2.0","result":{}},{"JSONRPC":"2.0","RESULT":{"tools":[{"d":"hidden"}]}}])"}) {
    const auto document = read(text);
    ASSERT_TRUE(document) << text;
    EXPECT_FALSE(messages_of(*document).empty()) << text;
    EXPECT_EQ(tool_lists_of(*document).size(), 1U) << text;
    EXPECT_NE(strings_of(*document).each.find("hidden"), std::string::npos) << text;
  }
  EXPECT_EQ(tool_lists_of(*read(R"({"id":1,"result":{"tools":[{}],"Tools":[{}]}})")).size(), 2U)
      << "who reads it takes one of them";
}

TEST(McpMessage, agent_cards_stand_at_well_known_places) {
  EXPECT_TRUE(is_agent_card_path("/.well-known/agent-card.json") && is_agent_card_path("/team/.well-known/agent.json"));
  EXPECT_FALSE(is_agent_card_path("/agent.json") || is_agent_card_path("/.well-known/agent.json/x"));
}

}  // namespace
}  // namespace bot_bottle::mcp
