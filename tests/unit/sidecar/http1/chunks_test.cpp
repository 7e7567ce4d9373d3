// The chunked coding: every cut gives the same body, and what two readers could read in two ways is refused (A3, A12).
#include "sidecar/http1/chunks.hpp"

#include <gtest/gtest.h>

#include "sidecar/http1/write.hpp"

namespace bot_bottle::http1 {
namespace {

struct Decoded {
  ChunkReader::Event event = ChunkReader::Event::need_more;
  std::string body;
  std::string rest;
};

/// Feeds `text` in pieces of `step` octets.
Decoded decode(std::string_view text, std::size_t step, ChunkReader& reader) {
  Decoded out;
  for (std::size_t at = 0; at < text.size(); at += step) {
    std::string_view input = text.substr(at, step);
    while (true) {
      std::string_view data;
      out.event = reader.next(input, data);
      if (out.event != ChunkReader::Event::data) break;
      out.body.append(data);
    }
    if (out.event != ChunkReader::Event::need_more) {
      out.rest = std::string(input) + std::string(text.substr(std::min(text.size(), at + step)));
      return out;
    }
  }
  return out;
}

TEST(Http1Chunks, gives_the_body_at_every_cut) {
  const std::string text =
      "5\r\nhello\r\n1;name=\"v\"\r\n \r\n00a\r\n0123456789\r\n0\r\nX-Sum: 1\r\nX-Two: 2\r\n\r\nGET /";
  for (std::size_t step = 1; step <= text.size(); ++step) {
    ChunkReader reader;
    const Decoded out = decode(text, step, reader);
    EXPECT_EQ(out.event, ChunkReader::Event::end) << step;
    EXPECT_EQ(out.body, "hello 0123456789");
    EXPECT_EQ(out.rest, "GET /");
    EXPECT_EQ(reader.trailers().find("x-two"), "2");
  }
}

TEST(Http1Chunks, A3_refuses_what_is_not_exactly_a_chunk) {
  for (const char* text : {"5\nhello\r\n",
                           "\r\n",
                           " 5\r\nhello\r\n",
                           "5 \r\nhello\r\n",
                           "0x5\r\nhello\r\n",
                           "+5\r\n",
                           "-1\r\n",
                           "g\r\n",
                           ";x\r\n",
                           "5\r\nhelloX",
                           "5\r\nhello\n",
                           "5\r\nhello\rX",
                           "ffffffffffffffff\r\n",
                           "0000000000000001\r\n",
                           "5\rX",
                           "5;a\nb\r\n",
                           "5;\x01\r\n",
                           "0\r\nX y: 1\r\n",
                           "0\r\nX: 1\n",
                           "0\r\n X: 1\r\n",
                           "0\r\n\n"}) {
    ChunkReader reader;
    EXPECT_EQ(decode(text, 1, reader).event, ChunkReader::Event::bad) << text;
    ChunkReader at_once;
    EXPECT_EQ(decode(text, 1000, at_once).event, ChunkReader::Event::bad) << text;
  }
}

TEST(Http1Chunks, bounds_extensions_and_trailers) {
  ChunkReader reader;
  EXPECT_EQ(decode("5;" + std::string(5000, 'a') + "\r\nhello\r\n", 100, reader).event, ChunkReader::Event::bad);
  ChunkReader many;
  std::string text = "0\r\n";
  for (int i = 0; i < 65; ++i) text += "X: y\r\n";
  EXPECT_EQ(decode(text + "\r\n", 100, many).event, ChunkReader::Event::bad);
  ChunkReader long_one;
  EXPECT_EQ(decode("0\r\nX: " + std::string(20'000, 'a') + "\r\n\r\n", 100, long_one).event, ChunkReader::Event::bad);
}

TEST(Http1Chunks, stays_bad) {
  ChunkReader reader;
  EXPECT_EQ(decode("g", 1, reader).event, ChunkReader::Event::bad);
  EXPECT_EQ(decode("5\r\nhello\r\n0\r\n\r\n", 100, reader).event, ChunkReader::Event::bad);
}

TEST(Http1Chunks, reads_what_is_written) {
  std::string text;
  for (const std::string& piece : {std::string("a"), std::string(300, 'b'), std::string(70'000, 'c')}) {
    write_chunk_begin(text, piece.size());
    text += piece + "\r\n";
  }
  write_last_chunk(text, nullptr);
  ChunkReader reader;
  const Decoded out = decode(text, 4096, reader);
  EXPECT_EQ(out.event, ChunkReader::Event::end);
  EXPECT_EQ(out.body.size(), 70'301U);
}

}  // namespace
}  // namespace bot_bottle::http1
