// What an agent says to a tool: scanned as values, kept until it was; other bodies pass untouched.
#include "sidecar/egress/mcp_guard.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "core/base/text.hpp"
#include "sidecar/dlp/injection.hpp"
#include "tests/unit/sidecar/dlp/support.hpp"

namespace bot_bottle::egress {
namespace {

constexpr std::string_view secret = "s3cr3t-value-of-another-kind-0042";

struct Passed {
  std::optional<McpRequestGuard::Block> block;
  std::string out;
  bool is_message = false;
  bool asks_for_tools = false;
};

Passed pass(std::string_view body, std::size_t piece, dlp::Detectors detectors = {},
            policy::OnUnscannable on_unscannable = policy::OnUnscannable::block) {
  Passed passed;
  McpRequestGuard guard(dlp::shipped_rules(), dlp::known({{"S", std::string(secret)}}), detectors, on_unscannable);
  for (std::size_t at = 0; at < body.size() && !passed.block; at += piece) {
    const std::string_view bytes = body.substr(at, piece);
    if (guard.passes(bytes))
      passed.out.append(bytes);
    else
      passed.block = guard.write(bytes, bytes, passed.out);
  }
  if (!passed.block) passed.block = guard.finish({}, passed.out);
  passed.is_message = guard.is_message();
  passed.asks_for_tools = guard.asks_for_tools();
  return passed;
}

std::string call(std::string_view arguments) {
  return R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"put","arguments":)" +
         std::string(arguments) + "}}";
}

TEST(McpRequest, thousands_of_messages_have_little_room_each) {
  EXPECT_EQ(room_of_message(1), mcp::max_message_octets);
  std::size_t most = 0;
  for (const std::uint64_t open : {64U, 128U, 129U, 1000U, 4096U})
    most = std::max<std::size_t>(most, static_cast<std::size_t>(open) * room_of_message(open));
  EXPECT_LE(most, std::size_t{128} << 20);
  McpRequestGuard guard(dlp::shipped_rules(), dlp::known({}), {}, policy::OnUnscannable::block);
  const std::string begin = R"({"jsonrpc":"2.0","id":1,"params":")" + std::string(40'000, 'x');
  std::string out;
  EXPECT_FALSE(guard.write(begin, begin, out, room_of_message(10)));
  const auto block = guard.write("x", "x", out, room_of_message(1000));
  ASSERT_TRUE(block);
  EXPECT_NE(block->unscannable.find("too many requests"), std::string::npos);
  EXPECT_EQ(out, "");
}

TEST(McpRequest, a_token_cut_over_the_arguments_of_a_call_is_found_before_any_of_it_leaves) {
  const std::string token = or_throw(dlp::expand_sample("ghp_{{36:alnum}}", 5));
  const std::string first = token.substr(0, 17);
  const std::string second = token.substr(17);
  for (const std::string& body :
       {call("{\"a\":\"" + first + "\",\"b\":\"" + second + "\"}"), call("[[\"" + first + "\"],[\"" + second + "\"]]"),
        "[" + call("{\"a\":\"" + token + "\"}") + "]"}) {
    for (const std::size_t piece : {1U, 7U, 5000U}) {
      const Passed passed = pass(body, piece);
      ASSERT_TRUE(passed.block && passed.block->finding) << body;
      EXPECT_EQ(passed.block->finding->rule, "github-pat");
      EXPECT_TRUE(passed.out.empty());
      EXPECT_THAT(passed.block->where, testing::HasSubstr("tools/call"));
      EXPECT_EQ(passed.block->finding->snippet.find(second), std::string::npos);
    }
  }
}

TEST(McpRequest, an_escaped_secret_is_found_where_it_stands) {
  std::string escaped;
  for (const char c : secret) escaped += "\\u00" + hex_encode(std::string_view(&c, 1));
  const Passed passed = pass(call("{\"deep\":[{\"text\":\"" + escaped + "\"}]}"), 11);
  ASSERT_TRUE(passed.block && passed.block->finding);
  EXPECT_EQ(passed.block->finding->rule, "known-secret:S");
  EXPECT_EQ(passed.block->where, "tools/call params.arguments.deep[0].text");
}

TEST(McpRequest, parts_of_an_a2a_message_are_values_too) {
  const std::string body =
      R"({"jsonrpc":"2.0","id":"1","method":"message/send","params":{"message":{"role":"user","parts":[)"
      R"({"kind":"text","text":")" +
      std::string(secret) + R"("}],"messageId":"m"}}})";
  const Passed passed = pass(body, 100);
  ASSERT_TRUE(passed.block);
  EXPECT_EQ(passed.block->where, "message/send params.message.parts[0].text");
}

TEST(McpRequest, what_cannot_be_read_as_one_message_follows_the_route) {
  const std::string twice = R"({"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{}})";
  const std::string large = call("{\"a\":\"" + std::string(mcp::max_message_octets, 'x') + "\"}");
  for (const std::string& body : {twice, large}) {
    const Passed passed = pass(body, 60'000);
    ASSERT_TRUE(passed.block);
    EXPECT_FALSE(passed.block->finding);
    EXPECT_NE(passed.block->unscannable, "");
    EXPECT_EQ(passed.out, "");
    EXPECT_EQ(pass(body, 60'000, {}, policy::OnUnscannable::pass).out, body);
    EXPECT_FALSE(pass(body, 60'000, {.token_patterns = false, .known_secrets = false}).block);
  }
  // Many services have bodies that begin like a message and are none.
  for (const std::string& body :
       {std::string("{\"id\":1}\n{\"id\":2}\n"), "{\"id\":\"" + std::string(mcp::max_message_octets, 'x') + "\"}",
        std::string(R"({"method":"x","method":"y"})")}) {
    const Passed passed = pass(body, 60'000);
    EXPECT_FALSE(passed.block);
    EXPECT_EQ(passed.out, body);
    EXPECT_FALSE(passed.is_message);
  }
}

TEST(McpRequest, other_bodies_pass_as_they_come) {
  McpRequestGuard guard(dlp::shipped_rules(), dlp::known({}), {}, policy::OnUnscannable::block);
  EXPECT_TRUE(guard.passes(R"({"model":"x","messages":[]})")) << "at its first piece";
  for (const char* body : {R"({"model":"x"})", "", "a=1", "{", "{\"jso"}) {
    for (const std::size_t piece : {1U, 100U}) EXPECT_EQ(pass(body, piece).out, body);
  }
}

/// tests/unit/sidecar/mcp/benign.jsonl: what clients and servers really say, a message a line.
TEST(McpRequest, ordinary_traffic_passes) {
  std::ifstream file(std::string(BB_SOURCE_DIR) + "/tests/unit/sidecar/mcp/benign.jsonl");
  std::size_t count = 0;
  const auto phrases = dlp::shipped_rules()->injection();
  ASSERT_NE(phrases, nullptr);
  for (std::string line; std::getline(file, line); ++count) {
    const Passed passed = pass(line, 1000);
    EXPECT_FALSE(passed.block) << line;
    EXPECT_TRUE(passed.is_message) << line;
    EXPECT_EQ(passed.out, line);
    EXPECT_EQ(passed.asks_for_tools, line.find("\"tools/list\"") != std::string::npos);
    dlp::InjectionStream stream(phrases, dlp::Folder::Quotes::speak);
    std::vector<dlp::InjectionSighting> seen = stream.write(mcp::strings_of(*mcp::read(line)).each);
    for (auto& more : stream.finish()) seen.push_back(more);
    for (const auto& sighting : seen) EXPECT_FALSE(sighting.is_attempt) << sighting.phrase << ": " << line;
  }
  EXPECT_GE(count, 15U);
}

}  // namespace
}  // namespace bot_bottle::egress
