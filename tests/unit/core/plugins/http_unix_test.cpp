// HTTP over a unix socket against a server that answers given bytes.
#include "core/plugins/http_unix.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/unit/core/plugins/fake_unix_server.hpp"

namespace bot_bottle::plugins {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

HttpRequest get(const std::string& socket) {
  return {socket, "GET", "/_ping", {}, {}, std::chrono::seconds(10), -1};
}

ErrorKind kind_of_failure(const HttpRequest& request) {
  const auto response = request_over_unix(request);
  EXPECT_FALSE(response.has_value());
  return response ? ErrorKind::usage : response.error().kind;
}

TEST(HttpUnix, a_request_and_its_answer_are_whole) {
  FakeUnixServer server("HTTP/1.1 201 Created\r\nContent-Length: 5\r\nX-A: 1\r\nx-a: 2\r\n\r\nhello", 4);
  HttpRequest request{server.path(),
                      "POST",
                      "/containers/create?name=x",
                      {{"Content-Type", "application/json"}},
                      "body",
                      std::chrono::seconds(10),
                      -1};
  const auto response = request_over_unix(request);
  ASSERT_TRUE(response.has_value()) << response.error().message;
  EXPECT_EQ(response->status, 201);
  EXPECT_EQ(response->body, "hello");
  EXPECT_EQ(response->headers.at("x-a"), "1, 2");
  EXPECT_THAT(server.received(), HasSubstr("POST /containers/create?name=x HTTP/1.1\r\n"));
  EXPECT_THAT(server.received(), HasSubstr("Content-Length: 4\r\n"));
  EXPECT_THAT(server.received(), HasSubstr("\r\n\r\nbody"));
}

TEST(HttpUnix, chunks_and_a_body_until_the_end_are_read) {
  FakeUnixServer chunked("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_EQ(request_over_unix(get(chunked.path())).value().body, "abcde");
  FakeUnixServer until_end("HTTP/1.0 200 OK\r\n\r\nall of it");
  EXPECT_EQ(request_over_unix(get(until_end.path())).value().body, "all of it");
}

TEST(HttpUnix, an_answer_to_head_has_no_body) {
  FakeUnixServer server("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
  HttpRequest request = get(server.path());
  request.method = "HEAD";
  EXPECT_EQ(request_over_unix(request).value().status, 200);
}

TEST(HttpUnix, an_error_status_is_a_result) {
  FakeUnixServer server("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(request_over_unix(get(server.path())).value().status, 404);
}

TEST(HttpUnix, hostile_answers_fail_and_are_bounded) {
  FakeUnixServer garbage("SSH-2.0-x\r\n\r\n");
  EXPECT_EQ(kind_of_failure(get(garbage.path())), ErrorKind::internal);
  FakeUnixServer early("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_EQ(kind_of_failure(get(early.path())), ErrorKind::internal);
  FakeUnixServer nothing("");
  EXPECT_EQ(kind_of_failure(get(nothing.path())), ErrorKind::unavailable);
  FakeUnixServer head("HTTP/1.1 200 OK\r\nX: " + std::string(std::size_t{80} << 10, 'a') + "\r\n\r\n");
  EXPECT_EQ(kind_of_failure(get(head.path())), ErrorKind::internal);
  FakeUnixServer body("HTTP/1.1 200 OK\r\n\r\n" + std::string(std::size_t{5} << 20, 'a'));
  EXPECT_EQ(kind_of_failure(get(body.path())), ErrorKind::internal);
}

TEST(HttpUnix, nobody_there_is_unavailable) {
  EXPECT_EQ(kind_of_failure(get("/nonexistent/socket")), ErrorKind::unavailable);
  EXPECT_EQ(kind_of_failure(get("relative")), ErrorKind::invalid_argument);
  EXPECT_EQ(kind_of_failure(get("/" + std::string(200, 'x'))), ErrorKind::invalid_argument);
}

TEST(HttpUnix, a_request_cannot_be_split_by_its_own_fields) {
  for (const auto& [name, value] : std::map<std::string, std::string>{
           {"X", "a\r\nEvil: 1"}, {"X\r\nEvil", "1"}, {"Content-Length", "1"}, {"", "a"}}) {
    HttpRequest request = get("/nonexistent/socket");
    request.headers[name] = value;
    EXPECT_EQ(kind_of_failure(request), ErrorKind::invalid_argument) << name;
  }
  for (const char* target : {"/a b", "/a\r\nX: 1", "http://example.com/", ""}) {
    HttpRequest request = get("/nonexistent/socket");
    request.target = target;
    EXPECT_EQ(kind_of_failure(request), ErrorKind::invalid_argument) << target;
  }
  HttpRequest request = get("/nonexistent/socket");
  request.method = "GET /x";
  EXPECT_EQ(kind_of_failure(request), ErrorKind::invalid_argument);
}

TEST(HttpUnix, a_silent_server_ends_in_a_timeout_or_with_the_cancellation) {
  FakeUnixServer slow("", 0, true);
  HttpRequest request = get(slow.path());
  request.timeout = std::chrono::milliseconds(50);
  EXPECT_EQ(kind_of_failure(request), ErrorKind::timeout);

  FakeUnixServer other("", 0, true);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  request = get(other.path());
  request.cancel_fd = ends[0];
  EXPECT_EQ(kind_of_failure(request), ErrorKind::cancelled);
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace bot_bottle::plugins
