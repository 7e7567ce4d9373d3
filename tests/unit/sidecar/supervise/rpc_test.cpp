#include "sidecar/supervise/rpc.hpp"

#include <gtest/gtest.h>

namespace bot_bottle::supervise {
namespace {

TEST(Rpc, messages_are_told_apart) {
  const auto kind = [](std::string_view text) { return read_rpc(text, Batches::refused).payload.messages.at(0).kind; };
  EXPECT_EQ(kind(R"({"jsonrpc":"2.0","id":1,"method":"ping"})"), RpcMessage::Kind::request);
  EXPECT_EQ(kind(R"({"jsonrpc":"2.0","id":"","method":"ping"})"), RpcMessage::Kind::request);
  EXPECT_EQ(kind(R"({"jsonrpc":"2.0","method":"ping"})"), RpcMessage::Kind::notification);
  EXPECT_EQ(kind(R"({"jsonrpc":"2.0","id":1,"result":{}})"), RpcMessage::Kind::response);
  EXPECT_EQ(kind(R"({"jsonrpc":"2.0","id":1,"error":{}})"), RpcMessage::Kind::response);
}

TEST(Rpc, what_is_wrong_has_its_code) {
  const auto code = [](std::string_view text) {
    const RpcReading reading = read_rpc(text, Batches::accepted);
    return reading.problem ? static_cast<int>(reading.problem->code) : 0;
  };
  for (const char* text : {"", "{", "nul", R"({"a":1,"a":2})", "\xff"}) EXPECT_EQ(code(text), -32700) << text;
  for (const char* text : {"1", "\"x\"", "{}", "[]", R"({"jsonrpc":"2.0","id":null,"method":"x"})",
                           R"({"jsonrpc":"2.0","id":1.5,"method":"x"})", R"({"jsonrpc":"2.0","id":true,"method":"x"})",
                           R"({"jsonrpc":"1.0","id":1,"method":"x"})", R"({"jsonrpc":"2.0","id":1,"method":""})",
                           R"([{"jsonrpc":"2.0","id":1,"method":"initialize"}])"})
    EXPECT_EQ(code(text), -32600) << text;
  EXPECT_EQ(read_rpc("[{}]", Batches::refused).problem->code, RpcCode::invalid_request);
  EXPECT_EQ(code(std::string(max_rpc_octets + 1, ' ')), -32700);
  EXPECT_EQ(code(R"([{"jsonrpc":"2.0","id":1,"method":"x"}, 5])"), 0) << "the good ones of a batch are answered";
}

TEST(Rpc, accept_fields_are_read_as_lists_of_ranges) {
  EXPECT_TRUE(accepts("application/json, text/event-stream", "text/event-stream"));
  EXPECT_TRUE(accepts("*/*", "text/event-stream"));
  EXPECT_TRUE(accepts("text/*;q=0.1", "text/event-stream"));
  EXPECT_TRUE(accepts("Application/Json;v=1", "application/json"));
  EXPECT_FALSE(accepts("", "application/json"));
  EXPECT_FALSE(accepts("application/jsonx", "application/json"));
  EXPECT_FALSE(accepts("xapplication/json", "application/json"));
  EXPECT_FALSE(accepts("application/json;q=0", "application/json"));
  EXPECT_FALSE(accepts("application/json; a=b; q=0.0", "application/json"));
}

}  // namespace
}  // namespace bot_bottle::supervise
