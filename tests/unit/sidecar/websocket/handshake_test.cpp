// Who may switch: exactly WebSocket, exactly once, exactly as asked (attacks A7, A8).
#include "sidecar/websocket/handshake.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace bot_bottle::websocket {
namespace {

using List = std::vector<std::pair<const char*, const char*>>;
constexpr const char* key = "dGhlIHNhbXBsZSBub25jZQ==";  // RFC 6455 §1.3
constexpr const char* accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

http::Fields fields_of(const List& list) {
  http::Fields fields;
  for (const auto& [name, value] : list) fields.add(name, value);
  return fields;
}

const List request = {{"upgrade", "websocket"},
                      {"connection", "keep-alive, Upgrade"},
                      {"sec-websocket-version", "13"},
                      {"sec-websocket-key", key}};
const List response = {{"upgrade", "WebSocket"}, {"connection", "upgrade"}, {"sec-websocket-accept", accept}};

List set(List list, std::size_t at, const char* value) {
  list[at].second = value;
  return list;
}
List with(List list, const char* name, const char* value) {
  list.emplace_back(name, value);
  return list;
}

TEST(WebSocketHandshake, the_accept_value_is_the_rfcs) {
  EXPECT_EQ(accept_for(key), accept);
  EXPECT_NE(make_key(), make_key());
  EXPECT_EQ(make_key().size(), 24U);
}

TEST(WebSocketHandshake, only_a_request_for_websocket_alone_is_one) {
  EXPECT_EQ(read_upgrade_request(fields_of(request)), key);
  for (const char* upgrade : {"notwebsocket", "websocket, h2c", "h2c", "websocket/13", "", "websocket,"})
    EXPECT_FALSE(read_upgrade_request(fields_of(set(request, 0, upgrade)))) << upgrade;
  for (const char* connection : {"keep-alive", "notupgrade", "upgraded", ""})
    EXPECT_FALSE(read_upgrade_request(fields_of(set(request, 1, connection)))) << connection;
  for (const char* version : {"8", "13, 8", "", "013"})
    EXPECT_FALSE(read_upgrade_request(fields_of(set(request, 2, version)))) << version;
  for (const char* bad : {"", "dGhl", "not base64 at all!!!!!!!", "dGhlIHNhbXBsZSBub25jZQdGhlIHNhbXBsZSBub25jZQ=="})
    EXPECT_FALSE(read_upgrade_request(fields_of(set(request, 3, bad)))) << bad;
  for (const std::size_t twice : {0U, 2U, 3U})
    EXPECT_FALSE(read_upgrade_request(fields_of(with(request, request[twice].first, request[twice].second)))) << twice;
}

TEST(WebSocketHandshake, only_what_was_asked_for_is_accepted) {
  EXPECT_TRUE(is_upgrade_response(fields_of(response), key, ""));
  EXPECT_FALSE(is_upgrade_response(fields_of(set(response, 0, "h2c")), key, ""));
  EXPECT_FALSE(is_upgrade_response(fields_of(set(response, 1, "close")), key, ""));
  EXPECT_FALSE(is_upgrade_response(fields_of(set(response, 2, "AAAA")), key, ""));
  EXPECT_FALSE(
      is_upgrade_response(fields_of(with(response, "sec-websocket-extensions", "permessage-deflate")), key, ""));
  EXPECT_FALSE(is_upgrade_response(fields_of(with(response, "sec-websocket-protocol", "a")), key, ""));
  EXPECT_FALSE(is_upgrade_response(fields_of(with(response, "sec-websocket-protocol", "c")), key, "a, b"));
  EXPECT_FALSE(is_upgrade_response(fields_of(with(response, "sec-websocket-protocol", "a, b")), key, "a, b"));
  EXPECT_TRUE(is_upgrade_response(fields_of(with(response, "sec-websocket-protocol", "b")), key, "a, b"));
}

}  // namespace
}  // namespace bot_bottle::websocket
