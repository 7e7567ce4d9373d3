// Field sections as a hostile peer writes them; what is accepted may go to an HTTP/1 upstream as it is.
#include "sidecar/http2/head.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace bot_bottle::http2 {
namespace {

using List = std::vector<std::pair<std::string, std::string>>;

const List get = {{":method", "GET"}, {":scheme", "https"}, {":authority", "a.example.com"}, {":path", "/"}};

List with(List list, const List& more) {
  list.insert(list.end(), more.begin(), more.end());
  return list;
}

Problem read(HeadReader& reader, Section section, const List& list) {
  reader.start(section);
  for (const auto& [name, value] : list) reader.add(name, value);
  return reader.finish();
}

Problem read(Section section, const List& list) {
  HeadReader reader;
  return read(reader, section, list);
}

TEST(Http2Head, a_plain_request_is_read_whole) {
  HeadReader reader;
  ASSERT_EQ(
      read(
          reader, Section::request,
          with(get, {{"x-a", "1"}, {"cookie", "a=1"}, {"te", "trailers"}, {"cookie", "b=2"}, {"content-length", "7"}})),
      Problem::none);
  const Head& head = reader.head();
  EXPECT_EQ(head.method, "GET");
  EXPECT_EQ(head.path, "/");
  EXPECT_EQ(head.authority, "a.example.com");
  EXPECT_EQ(head.fields.find("cookie"), "a=1; b=2");
  EXPECT_EQ(head.content_length, 7U);
  EXPECT_TRUE(head.accepts_trailers);
  EXPECT_FALSE(head.fields.has("te"));
}

TEST(Http2Head, A3_octets_that_would_end_a_line_in_http_1_are_refused_everywhere) {
  for (unsigned octet = 0; octet < 256; ++octet) {
    const std::string text(1, static_cast<char>(octet));
    const bool control = octet < 0x20 || octet == 0x7f;
    const std::string inside = "a" + text + "b";
    const bool line = octet == '\r' || octet == '\n' || octet == 0;
    if (control && octet != '\t') {
      EXPECT_NE(read(Section::request, with(get, {{"x-a", inside}})), Problem::none) << octet;
      EXPECT_NE(read(Section::response, {{":status", "200"}, {"x-a", inside}}), Problem::none) << octet;
      EXPECT_NE(read(Section::trailers, {{"x-a", inside}}), Problem::none) << octet;
    }
    if (line || octet == ' ' || octet == ':' || (octet >= 'A' && octet <= 'Z')) {
      EXPECT_NE(read(Section::request, with(get, {{inside, "1"}})), Problem::none) << octet;
    }
    if (control || octet == ' ' || octet >= 0x80) {
      for (std::size_t i = 0; i < get.size(); ++i) {
        List list = get;
        list[i].second += text;
        EXPECT_NE(read(Section::request, list), Problem::none) << octet << " in " << list[i].first;
      }
    }
  }
}

TEST(Http2Head, A3_fields_that_frame_an_http_1_message_are_refused) {
  for (const char* name : {"transfer-encoding", "connection", "upgrade", "keep-alive", "proxy-connection"}) {
    EXPECT_EQ(read(Section::request, with(get, {{name, "x"}})), Problem::connection_field) << name;
    EXPECT_EQ(read(Section::response, {{":status", "200"}, {name, "x"}}), Problem::connection_field) << name;
    EXPECT_EQ(read(Section::trailers, {{name, "x"}}), Problem::connection_field) << name;
  }
  for (const char* value : {"", "+1", "-1", "1 ", "0x1", "1,1", "1234567890123456789"})
    EXPECT_NE(read(Section::request, with(get, {{"content-length", value}})), Problem::none) << value;
  EXPECT_EQ(read(Section::request, with(get, {{"content-length", "1"}, {"content-length", "1"}})),
            Problem::repeated_content_length);
  EXPECT_EQ(read(Section::request, with(get, {{"host", "a"}, {"host", "a"}})), Problem::repeated_host);
  EXPECT_EQ(read(Section::request, with(get, {{"te", "trailers, gzip"}})), Problem::bad_te);
  EXPECT_EQ(read(Section::request, with(get, {{"expect", "x"}})), Problem::unknown_expectation);
}

TEST(Http2Head, pseudo_header_fields_come_first_once_and_whole) {
  for (std::size_t i = 0; i < get.size(); ++i) {
    List list = get;
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_NE(read(Section::request, list), Problem::none) << get[i].first;
    EXPECT_EQ(read(Section::request, with(get, {get[i]})), Problem::repeated_pseudo) << get[i].first;
    EXPECT_EQ(read(Section::request, with(with(list, {{"x-a", "1"}}), {get[i]})), Problem::pseudo_after_field);
  }
  EXPECT_EQ(read(Section::request, with(get, {{":status", "200"}})), Problem::unknown_pseudo);
  EXPECT_EQ(read(Section::request, with(get, {{":x", "200"}})), Problem::unknown_pseudo);
  EXPECT_EQ(read(Section::trailers, {{":path", "/"}}), Problem::unknown_pseudo);
  EXPECT_EQ(read(Section::response, {{":path", "/"}}), Problem::unknown_pseudo);
  EXPECT_EQ(read(Section::response, {{"x-a", "1"}}), Problem::missing_pseudo);
  for (const char* status : {"", "99", "099", "600", "2000", "20", "2x0", "101", "-20"})
    EXPECT_NE(read(Section::response, {{":status", status}}), Problem::none) << status;
}

TEST(Http2Head, connect_is_a_tunnel_or_a_websocket_and_nothing_between) {
  EXPECT_EQ(read(Section::request, {{":method", "CONNECT"}, {":authority", "a:443"}}), Problem::none);
  EXPECT_NE(read(Section::request, {{":method", "CONNECT"}, {":authority", "a:443"}, {":path", "/"}}), Problem::none);
  List extended = get;
  extended[0].second = "CONNECT";
  EXPECT_NE(read(Section::request, extended), Problem::none);
  EXPECT_EQ(read(Section::request, with(extended, {{":protocol", "websocket"}})), Problem::none);
  EXPECT_NE(read(Section::request, with(get, {{":protocol", "websocket"}})), Problem::none);
}

TEST(Http2Head, sections_are_bounded) {
  List many = get;
  for (int i = 0; i < 252; ++i) many.push_back({"x", "1"});
  EXPECT_EQ(read(Section::request, many), Problem::none);
  many.push_back({"x", "1"});
  EXPECT_EQ(read(Section::request, many), Problem::too_many_fields);
  EXPECT_EQ(read(Section::request, with(get, {{"x", std::string(65000, 'a')}})), Problem::none);
  EXPECT_EQ(read(Section::request, with(get, {{"x", std::string(66000, 'a')}})), Problem::section_too_large);
}

}  // namespace
}  // namespace bot_bottle::http2
