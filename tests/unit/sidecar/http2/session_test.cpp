// Two of our own sessions talk to each other; the wire between them can be looked at and cut.
#include "sidecar/http2/session.hpp"

#include <gtest/gtest.h>

#include <map>
#include <vector>

namespace bot_bottle::http2 {
namespace {

struct Seen final : SessionHandler {
  Session* session = nullptr;
  bool credit = true;
  std::map<StreamId, std::string> heads;
  std::map<StreamId, std::string> data;
  std::map<StreamId, std::string> trailers;
  std::map<StreamId, bool> ended;
  std::map<StreamId, std::string> closed;
  std::vector<int> interim;
  std::vector<StreamId> drained;
  std::vector<Problem> bad;
  bool goaway = false;

  void on_head(StreamId id, Head& head, End end) override {
    heads[id] = head.status != 0 ? std::to_string(head.status) : head.method + " " + head.path;
    ended[id] = end == End::yes;
  }
  void on_informational(StreamId /*id*/, Head& head) override { interim.push_back(head.status); }
  void on_data(StreamId id, std::string_view bytes) override {
    data[id].append(bytes);
    if (credit) session->consume(id, bytes.size());
  }
  void on_end(StreamId id, http::Fields* fields) override {
    ended[id] = true;
    if (fields != nullptr)
      fields->each([&](const http::Field& field) { trailers[id].append(field.name).append("=").append(field.value); });
  }
  void on_closed(StreamId id, bool clean, Code code) override {
    closed[id] = clean ? "clean" : std::to_string(static_cast<unsigned>(code));
  }
  void on_stream_drained(StreamId id) override { drained.push_back(id); }
  void on_bad_head(StreamId /*id*/, Problem problem) override { bad.push_back(problem); }
  void on_goaway() override { goaway = true; }
};

class Http2Session : public ::testing::Test {
 protected:
  static SessionOptions options(Role role) {
    SessionOptions result;
    result.role = role;
    result.congested_at = 100'000;
    return result;
  }
  Seen agent_seen;
  Seen server_seen;
  Session agent{options(Role::client), agent_seen};
  Session server{options(Role::server), server_seen};
  const http::Fields none;

  Http2Session() {
    agent_seen.session = &agent;
    server_seen.session = &server;
    talk();
  }
  static bool carry(Session& from, Session& to) {
    std::string bytes;
    while (from.pull(bytes)) {
    }
    to.feed(bytes, 0);
    return !bytes.empty();
  }
  void talk() {
    bool moved = true;
    while (moved) {
      moved = carry(agent, server);
      moved = carry(server, agent) || moved;
    }
  }
  StreamId ask(std::string_view path, End end = End::yes, std::string_view method = "GET") {
    const http::Field first[] = {
        {":method", method}, {":scheme", "https"}, {":authority", "a.example.com"}, {":path", path}};
    return agent.request(first, none, {}, end);
  }
};

TEST_F(Http2Session, carries_requests_interims_bodies_and_trailers) {
  const StreamId id = ask("/x", End::no, "POST");
  agent.send_data(id, "hello");
  http::Fields late;
  late.add("x-late", "1");
  agent.send_end(id, &late);
  talk();
  EXPECT_EQ(server_seen.heads[id], "POST /x");
  EXPECT_EQ(server_seen.data[id], "hello");
  EXPECT_EQ(server_seen.trailers[id], "x-late=1");
  EXPECT_TRUE(server_seen.ended[id]);
  server.inform(id, 103, none);
  server.respond(id, 200, none, {}, End::no);
  server.send_data(id, "answer");
  server.send_end(id, &late);
  talk();
  EXPECT_EQ(agent_seen.interim, std::vector<int>{103});
  EXPECT_EQ(agent_seen.heads[id], "200");
  EXPECT_EQ(agent_seen.data[id], "answer");
  EXPECT_EQ(agent_seen.trailers[id], "x-late=1");
  EXPECT_EQ(agent_seen.closed[id], "clean");
  EXPECT_EQ(server_seen.closed[id], "clean");
  EXPECT_EQ(server.open_streams(), 0U);
}

TEST_F(Http2Session, a_stream_that_is_not_credited_stops_its_sender_and_no_other) {
  server_seen.credit = false;
  const StreamId slow = ask("/slow", End::no, "POST");
  agent.send_data(slow, std::string(1'000'000, 's'));
  talk();
  EXPECT_EQ(server_seen.data[slow].size(), std::size_t{128} << 10);
  EXPECT_TRUE(agent.is_congested(slow));
  server_seen.credit = true;
  const StreamId quick = ask("/quick", End::no, "POST");
  agent.send_data(quick, std::string(300'000, 'q'));
  agent.send_end(quick, nullptr);
  talk();
  EXPECT_EQ(server_seen.data[quick].size(), 300'000U);
  EXPECT_TRUE(agent_seen.drained.empty());
  server.consume(slow, server_seen.data[slow].size());
  talk();
  EXPECT_EQ(server_seen.data[slow].size(), 1'000'000U);
  EXPECT_EQ(agent_seen.drained, std::vector<StreamId>{slow});
}

TEST_F(Http2Session, what_all_paused_streams_hold_is_bounded) {
  server_seen.credit = false;
  for (int i = 0; i < 100; ++i) {
    const StreamId id = ask("/", End::no, "POST");
    ASSERT_NE(id, 0);
    agent.send_data(id, std::string(std::size_t{256} << 10, 'h'));
  }
  talk();
  std::size_t held = 0;
  for (const auto& [id, bytes] : server_seen.data) held += bytes.size();
  EXPECT_LE(held, (std::size_t{8} << 20) + (std::size_t{16} << 20));
  EXPECT_FALSE(agent.can_request());
  EXPECT_EQ(ask("/one-more"), 0);
}

TEST_F(Http2Session, the_rest_of_a_request_is_refused_when_the_response_is_out) {
  const StreamId id = ask("/", End::no, "POST");
  agent.send_data(id, "begin");
  talk();
  server.respond(id, 403, none, {}, End::no);
  server.send_data(id, "no");
  server.send_end(id, nullptr);
  server.stop_reading_after_response(id);
  talk();
  EXPECT_EQ(agent_seen.data[id], "no");
  EXPECT_TRUE(agent_seen.ended[id]);
  EXPECT_EQ(agent_seen.closed[id], "0");
  EXPECT_EQ(server.open_streams(), 0U);
}

TEST_F(Http2Session, goaway_gives_back_the_streams_that_were_not_processed) {
  const StreamId first = ask("/1");
  talk();
  const StreamId second = ask("/2");
  std::string lost;
  while (agent.pull(lost)) {
  }
  const StreamId queued = ask("/3");
  server.end(Code::no_error);
  carry(server, agent);
  carry(agent, server);
  EXPECT_TRUE(agent_seen.goaway);
  EXPECT_FALSE(agent.can_request());
  EXPECT_EQ(agent_seen.closed.count(first), 0U);
  EXPECT_EQ(agent_seen.closed[queued], std::to_string(static_cast<unsigned>(Code::refused_stream)));
  EXPECT_EQ(agent_seen.closed[second], std::to_string(static_cast<unsigned>(Code::refused_stream)));
}

TEST_F(Http2Session, a_bad_field_resets_the_stream_and_leaves_the_connection) {
  http::Fields bad;
  bad.add("x-a", "a\nb");
  const http::Field first[] = {{":method", "GET"}, {":scheme", "https"}, {":authority", "a"}, {":path", "/"}};
  const StreamId id = agent.request(first, bad, {}, End::yes);
  talk();
  EXPECT_EQ(server_seen.heads.count(id), 0U);
  EXPECT_EQ(server_seen.bad.size(), 1U);
  EXPECT_EQ(agent_seen.closed[id], "1");
  const StreamId good = ask("/");
  talk();
  EXPECT_EQ(server_seen.heads[good], "GET /");
}

TEST_F(Http2Session, many_bad_requests_end_the_connection) {
  http::Fields bad;
  bad.add("connection", "x");
  const http::Field first[] = {{":method", "GET"}, {":scheme", "https"}, {":authority", "a"}, {":path", "/"}};
  int count = 0;
  while (!server.is_over() && count < 1000) {
    agent.request(first, bad, {}, End::yes);
    talk();
    ++count;
  }
  EXPECT_GT(count, 100);
  EXPECT_LT(count, 300);
  EXPECT_TRUE(agent_seen.goaway);
}

TEST(Http2SessionPreface, octets_that_are_not_http_2_end_it_at_once) {
  Seen seen;
  Session server(SessionOptions{}, seen);
  seen.session = &server;
  server.feed("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0);
  std::string out;
  while (server.pull(out)) {
  }
  EXPECT_TRUE(server.is_over());
  EXPECT_FALSE(server.failure().empty());
}

}  // namespace
}  // namespace bot_bottle::http2
