// The strict head reader: what it accepts, and each way of smuggling that it refuses (attack A3).
#include "sidecar/http1/head.hpp"

#include <gtest/gtest.h>

#include "sidecar/http1/write.hpp"

namespace bot_bottle::http1 {
namespace {

struct Read {
  HeadResult result;
  RequestHead head;
};

Read read(std::string_view text, const HeadLimits& limits = {}) {
  Read out;
  HeadProgress progress;
  out.result = read_request_head(text, progress, out.head, limits);
  return out;
}

Problem problem_of(std::string_view text) {
  const Read out = read(text);
  EXPECT_EQ(out.result.reading, Reading::bad) << text;
  return out.result.problem;
}

std::string with(std::string_view fields) {
  return "POST /x HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
}

ResponseHead response(std::string_view text, Reading expected = Reading::complete) {
  HeadProgress progress;
  ResponseHead head;
  EXPECT_EQ(read_response_head(text, progress, head).reading, expected) << text;
  return head;
}

TEST(Http1Head, reads_a_request) {
  const Read out = read("GET /a?b=c HTTP/1.1\r\nHost: example.com\r\nX-Team:\t blue \r\n\r\nrest");
  ASSERT_EQ(out.result.reading, Reading::complete);
  EXPECT_EQ(out.result.size, 58U);
  EXPECT_EQ(out.head.method, "GET");
  EXPECT_EQ(out.head.target, "/a?b=c");
  EXPECT_EQ(out.head.fields.find("x-team"), "blue");
  EXPECT_EQ(out.head.framing, Framing::none);
  EXPECT_TRUE(out.head.keep_alive);
}

TEST(Http1Head, needs_more_until_the_empty_line_and_then_gives_the_same_however_it_was_cut) {
  const std::string text = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";
  for (std::size_t cut = 0; cut < text.size(); ++cut) {
    HeadProgress progress;
    RequestHead head;
    EXPECT_EQ(read_request_head(std::string_view(text).substr(0, cut), progress, head).reading, Reading::need_more)
        << cut;
    const HeadResult whole = read_request_head(text, progress, head);
    EXPECT_EQ(whole.reading, Reading::complete) << cut;
    EXPECT_EQ(whole.size, text.size());
    EXPECT_EQ(head.content_length, 3U);
  }
}

TEST(Http1Head, A3_refuses_two_ways_to_say_where_a_body_ends) {
  EXPECT_EQ(problem_of(with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")), Problem::length_and_coding);
  EXPECT_EQ(problem_of(with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")), Problem::length_and_coding);
  EXPECT_EQ(problem_of(with("Content-Length: 5\r\nContent-Length: 6\r\n")), Problem::repeated_content_length);
  EXPECT_EQ(problem_of(with("Content-Length: 5\r\nContent-Length: 5\r\n")), Problem::repeated_content_length);
  EXPECT_EQ(problem_of(with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")), Problem::unknown_coding);
}

TEST(Http1Head, A3_refuses_lengths_that_readers_read_in_different_ways) {
  for (const char* value : {"+5", "-5", "5,5", "5, 5", "0x5", "5 5", "", "5a", "\"5\"", "1e3", "9999999999999999999"})
    EXPECT_EQ(problem_of(with("Content-Length: " + std::string(value) + "\r\n")), Problem::bad_content_length) << value;
}

TEST(Http1Head, A3_refuses_codings_other_than_chunked_alone) {
  for (const char* value :
       {"gzip", "chunked, gzip", "gzip, chunked", "identity", "xchunked", "chunked\x0b", "chunked;q=1", ""}) {
    const Read out = read(with("Transfer-Encoding: " + std::string(value) + "\r\n"));
    EXPECT_EQ(out.result.reading, Reading::bad) << value;
  }
  EXPECT_EQ(problem_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Problem::coding_in_http_1_0);
  EXPECT_EQ(read(with("Transfer-Encoding: CHUNKED\r\n")).head.framing, Framing::chunked);
}

TEST(Http1Head, A3_refuses_lines_that_another_reader_would_end_elsewhere) {
  EXPECT_EQ(problem_of("GET / HTTP/1.1\nHost: a\n\n"), Problem::bare_line_feed);
  EXPECT_EQ(problem_of("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"), Problem::bare_line_feed);
  EXPECT_EQ(problem_of(with("X: a\rContent-Length: 5\r\n")), Problem::bare_carriage_return);
  EXPECT_EQ(problem_of(with("X: a\r\n b\r\n")), Problem::obsolete_fold);
  EXPECT_EQ(problem_of(with("X: a\r\n\tb\r\n")), Problem::obsolete_fold);
  EXPECT_EQ(problem_of(with("X : a\r\n")), Problem::space_before_colon);
  EXPECT_EQ(problem_of(with("X\t: a\r\n")), Problem::space_before_colon);
  EXPECT_EQ(problem_of(with(": a\r\n")), Problem::bad_field_name);
  EXPECT_EQ(problem_of(with("X\r\n")), Problem::bad_field_name);
  EXPECT_EQ(problem_of(with("X(y): a\r\n")), Problem::bad_field_name);
  EXPECT_EQ(problem_of("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), Problem::bad_request_line);
}

TEST(Http1Head, A1_refuses_controls_nul_and_broken_utf8_in_values) {
  EXPECT_EQ(problem_of(with(std::string_view("X: a\0b\r\n", 8))), Problem::bad_field_value);
  EXPECT_EQ(problem_of(with("X: a\x01"
                            "b\r\n")),
            Problem::bad_field_value);
  EXPECT_EQ(problem_of(with("X: a\x7f"
                            "b\r\n")),
            Problem::bad_field_value);
  EXPECT_EQ(problem_of(with("X: \xff\xfe\r\n")), Problem::bad_field_value);
  EXPECT_EQ(read(with("X: gr\xc3\xbc\xc3\x9f\r\n")).result.reading, Reading::complete);
}

TEST(Http1Head, refuses_request_lines_that_are_not_three_parts) {
  for (const char* line : {"GET /", "GET  / HTTP/1.1", "GET / HTTP/1.1 ", " GET / HTTP/1.1", "GET\t/ HTTP/1.1",
                           "GET / / HTTP/1.1", "GET / http/1.1", "GET / HTTP/2.0", "GET / HTTP/1.2", "GET / HTTP/01.1",
                           "G@T / HTTP/1.1", "GET /\x7f HTTP/1.1", "GET /\xc3\xa9 HTTP/1.1", "PRI * HTTP/2.0"}) {
    EXPECT_EQ(read(std::string(line) + "\r\nHost: a\r\n\r\n").result.reading, Reading::bad) << line;
  }
}

TEST(Http1Head, wants_one_host) {
  EXPECT_EQ(problem_of("GET / HTTP/1.1\r\n\r\n"), Problem::missing_host);
  EXPECT_EQ(problem_of("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), Problem::repeated_host);
  EXPECT_EQ(read("GET / HTTP/1.0\r\n\r\n").result.reading, Reading::complete);
}

TEST(Http1Head, bounds_the_head) {
  EXPECT_EQ(problem_of("GET /" + std::string(70'000, 'a')), Problem::head_too_large);
  EXPECT_EQ(problem_of(with("X: " + std::string(70'000, 'a') + "\r\n")), Problem::head_too_large);
  std::string many;
  for (int i = 0; i < 256; ++i) many += "X: y\r\n";
  EXPECT_EQ(problem_of(with(many)), Problem::too_many_fields);  // and Host is one more
  many.resize(many.size() - 6);
  EXPECT_EQ(read(with(many)).result.reading, Reading::complete);
}

TEST(Http1Head, knows_when_a_connection_is_kept) {
  EXPECT_FALSE(read(with("Connection: close\r\n")).head.keep_alive);
  EXPECT_FALSE(read(with("Connection: x, CLOSE\r\n")).head.keep_alive);
  EXPECT_TRUE(read(with("Connection: closed\r\n")).head.keep_alive);
  EXPECT_FALSE(read("GET / HTTP/1.0\r\n\r\n").head.keep_alive);
  EXPECT_TRUE(read("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").head.keep_alive);
}

TEST(Http1Head, knows_one_expectation) {
  EXPECT_TRUE(read(with("Expect: 100-Continue\r\n")).head.expects_continue);
  EXPECT_EQ(problem_of(with("Expect: 200-ok\r\n")), Problem::unknown_expectation);
}

TEST(Http1Head, reads_responses_and_their_framing) {
  ResponseHead head = response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(response_framing(head, "GET"), Framing::length);
  EXPECT_EQ(response_framing(head, "HEAD"), Framing::none);
  EXPECT_EQ(response_framing(response("HTTP/1.1 200 OK\r\n\r\n"), "GET"), Framing::until_close);
  EXPECT_EQ(response_framing(response("HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n"), "GET"), Framing::none);
  EXPECT_EQ(response_framing(response("HTTP/1.1 304\r\nContent-Length: 3\r\n\r\n"), "GET"), Framing::none);
  EXPECT_EQ(response("HTTP/1.1 200\r\n\r\n").reason, "");
  EXPECT_EQ(response("HTTP/1.1 200 It's \xe9 fine\r\nX: \xe9\r\n\r\n").fields.find("x"), "\xe9");
}

TEST(Http1Head, refuses_malformed_responses) {
  for (const char* line : {"HTTP/1.1 99 x", "HTTP/1.1 600 x", "HTTP/1.1 2000 x", "HTTP/1.1  200 x", "HTTP/2 200",
                           "ICY 200 OK", "HTTP/1.1 20"})
    response(std::string(line) + "\r\n\r\n", Reading::bad);
  response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", Reading::bad);
}

TEST(Http1Head, what_is_written_is_read_back_the_same) {
  const Read first = read(with("X-One: 1\r\nX-Two: 2\r\nContent-Length: 7\r\n"));
  std::string text;
  write_request_line(text, first.head.method, first.head.target, "a");
  http::Fields fields = first.head.fields;
  fields.remove("host");
  write_fields(text, fields);
  write_head_end(text);
  const Read second = read(text);
  ASSERT_EQ(second.result.reading, Reading::complete);
  EXPECT_EQ(second.head.fields.find("x-two"), "2");
  EXPECT_EQ(second.head.content_length, 7U);
}

}  // namespace
}  // namespace bot_bottle::http1
