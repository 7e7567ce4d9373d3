#include "sidecar/supervise/stateless.hpp"

#include <gtest/gtest.h>

namespace bot_bottle::supervise {
namespace {

RpcMessage message(std::string_view text) {
  return read_rpc(text, Batches::refused).payload.messages.at(0);
}

constexpr std::string_view call =
    R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask-operator","_meta":{)"
    R"("io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}})";

http::Fields fields(std::initializer_list<http::Field> given) {
  http::Fields all;
  for (const http::Field& field : given) all.add(field.name, field.value);
  return all;
}

int code(const http::Fields& given, std::string_view text = call) {
  const auto refusal = check_stateless(given, message(text));
  return refusal ? static_cast<int>(refusal->code) : 0;
}

TEST(Stateless, a_request_whose_fields_say_what_its_body_says_is_taken) {
  EXPECT_EQ(code(fields(
                {{"mcp-protocol-version", "2026-07-28"}, {"mcp-method", "tools/call"}, {"mcp-name", "ask-operator"}})),
            0);
  // RFC 4648 of "ask-operator".
  EXPECT_EQ(code(fields({{"mcp-protocol-version", "2026-07-28"},
                         {"mcp-method", "tools/call"},
                         {"mcp-name", "=?base64?YXNrLW9wZXJhdG9y?="}})),
            0);
}

TEST(Stateless, a_field_that_is_missing_doubled_or_another_is_a_mismatch) {
  const http::Field version{"mcp-protocol-version", "2026-07-28"};
  const http::Field method{"mcp-method", "tools/call"};
  const http::Field name{"mcp-name", "ask-operator"};
  EXPECT_EQ(code(fields({method, name})), -32020);
  EXPECT_EQ(code(fields({version, name})), -32020);
  EXPECT_EQ(code(fields({version, method})), -32020);
  EXPECT_EQ(code(fields({{"mcp-protocol-version", "2025-11-25"}, method, name})), -32020);
  EXPECT_EQ(code(fields({version, {"mcp-method", "Tools/Call"}, name})), -32020);
  EXPECT_EQ(code(fields({version, method, {"mcp-name", "egress-block"}})), -32020);
  EXPECT_EQ(code(fields({version, method, {"mcp-name", "=?base64?YXNr?="}})), -32020);
  EXPECT_EQ(code(fields({version, method, {"mcp-name", "=?base64?*?="}})), -32020);
  EXPECT_EQ(code(fields({version, method, {"mcp-name", "=?base64?="}})), -32020);
  EXPECT_EQ(code(fields({version, version, method, name})), -32020);
  EXPECT_EQ(code(fields({version, {"mcp-method", "tools/list"}, method, name})), -32020);
  EXPECT_EQ(code(fields({version, method, {"mcp-name", "egress-block"}, name})), -32020);
}

TEST(Stateless, what_meta_must_say_is_needed) {
  const http::Fields given = fields({{"mcp-protocol-version", "2026-07-28"}, {"mcp-method", "tools/list"}});
  for (
      const char* text :
      {R"({"jsonrpc":"2.0","id":1,"method":"tools/list"})",
       R"({"jsonrpc":"2.0","id":1,"method":"tools/list","params":[]})",
       R"({"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}})",
       R"({"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":5,"io.modelcontextprotocol/clientCapabilities":{}}}})",
       R"({"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/clientCapabilities":{}}}})"})
    EXPECT_EQ(code(given, text), -32602) << text;
}

TEST(Stateless, another_revision_is_told_which_there_are) {
  std::string text(call);
  text.replace(text.find("2026-07-28"), 10, "2027-01-01");
  const auto refusal = check_stateless(fields({{"mcp-protocol-version", "2027-01-01"}}), message(text));
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->code, RpcCode::unsupported_version);
  EXPECT_EQ(
      json::serialize(refusal->data),
      R"({"supported":["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"],"requested":"2027-01-01"})");
}

TEST(Stateless, is_told_from_what_has_a_session) {
  const std::string_view ping = R"({"jsonrpc":"2.0","id":1,"method":"ping"})";
  EXPECT_TRUE(is_stateless(fields({}), message(call)));
  EXPECT_TRUE(is_stateless(fields({{"mcp-protocol-version", "2026-07-28"}}), message(ping)));
  EXPECT_TRUE(is_stateless(fields({{"mcp-protocol-version", "2999-12-31"}}), message(ping)));
  for (const char* version : {"2025-11-25", "1999-01-01", "x", "", "2026-07-28x", "9999"})
    EXPECT_FALSE(is_stateless(fields({{"mcp-protocol-version", version}}), message(ping))) << version;
  EXPECT_FALSE(is_stateless(
      fields({}), message(R"({"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"progressToken":1}}})")));
}

}  // namespace
}  // namespace bot_bottle::supervise
