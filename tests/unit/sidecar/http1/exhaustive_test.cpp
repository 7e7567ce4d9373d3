// All short strings over the octets that matter, against second readers written as naively as possible (another's
// oracle: "re2's exhaustive idea"). A difference is either a bug here or a way to smuggle.
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>

#include "sidecar/http1/chunks.hpp"
#include "sidecar/http1/head.hpp"

namespace bot_bottle::http1 {
namespace {

/// Calls `visit` with every string of up to `longest` octets of `alphabet`.
template <typename Visit>
void each_string(std::string_view alphabet, std::size_t longest, Visit&& visit) {
  std::string text;
  const std::function<void()> extend = [&] {
    visit(text);
    if (text.size() == longest) return;
    for (const char c : alphabet) {
      text.push_back(c);
      extend();
      text.pop_back();
    }
  };
  extend();
}

bool is_name(const std::string& text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (c != 'a' && c != '0') return false;  // of the alphabet only these are tchar
  }
  return true;
}

/// One field section by the book, whole: lines by CR LF, name, colon, value. True: valid and complete at its end.
bool naive_fields_are_valid(std::string text) {
  while (true) {
    const std::size_t end = text.find("\r\n");
    if (end == std::string::npos) return false;
    const std::string line = text.substr(0, end);
    text.erase(0, end + 2);
    if (line.empty()) return text.empty();
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || !is_name(line.substr(0, colon))) return false;
    for (const char c : line.substr(colon + 1)) {
      if (c == '\r' || c == '\n' || c == '\0') return false;
    }
  }
}

TEST(Http1Exhaustive, A3_field_sections_agree_with_the_naive_reader) {
  const std::string_view alphabet("\r\n: a;\0", 7);
  std::size_t accepted = 0;
  each_string(alphabet, 7, [&](const std::string& text) {
    const std::string message = "GET / HTTP/1.0\r\n" + text;
    HeadProgress progress;
    RequestHead head;
    const HeadResult result = read_request_head(message, progress, head);
    const bool ours = result.reading == Reading::complete && result.size == message.size();
    const bool theirs = naive_fields_are_valid(text);
    ASSERT_EQ(ours, theirs) << testing::PrintToString(text);
    accepted += ours ? 1U : 0U;
    // Whatever was decided on the whole is decided for every cut of it.
    HeadProgress stepwise;
    RequestHead again;
    HeadResult last;
    for (std::size_t size = 1; size <= message.size() && last.reading == Reading::need_more; ++size)
      last = read_request_head(std::string_view(message).substr(0, size), stepwise, again);
    ASSERT_EQ(last.reading, result.reading) << testing::PrintToString(text);
  });
  EXPECT_GT(accepted, 3U);
}

/// A chunked body by the book: the body, or nothing when it is malformed or unfinished.
std::optional<std::string> naive_body(std::string text) {
  std::string body;
  while (true) {
    const std::size_t end = text.find("\r\n");
    if (end == std::string::npos) return std::nullopt;
    std::string line = text.substr(0, end);
    text.erase(0, end + 2);
    const std::size_t semicolon = line.find(';');
    for (const char c : semicolon == std::string::npos ? std::string() : line.substr(semicolon)) {
      if (c == '\r' || c == '\n' || c == '\0') return std::nullopt;
    }
    line = line.substr(0, semicolon);
    std::size_t size = 0;
    if (line.empty()) return std::nullopt;
    for (const char c : line) {
      if (c != '0' && c != '2' && c != 'a') return std::nullopt;
      size = size * 16 + (c == '0' ? 0 : c == '2' ? 2 : 10);
    }
    if (size == 0) return text == "\r\n" ? std::optional(body) : std::nullopt;
    if (text.size() < size + 2 || text.compare(size, 2, "\r\n") != 0) return std::nullopt;
    body += text.substr(0, size);
    text.erase(0, size + 2);
  }
}

TEST(Http1Exhaustive, A12_chunked_bodies_agree_with_the_naive_reader) {
  const std::string_view alphabet("\r\n02a;", 6);
  std::size_t accepted = 0;
  each_string(alphabet, 7, [&](const std::string& beginning) {
    for (const std::string& ending : {std::string(), std::string("0\r\n\r\n")}) {
      const std::string text = beginning + ending;
      ChunkReader reader;
      std::string_view input = text;
      std::string body;
      ChunkReader::Event event = ChunkReader::Event::need_more;
      while (true) {
        std::string_view data;
        event = reader.next(input, data);
        if (event != ChunkReader::Event::data) break;
        body.append(data);
      }
      const bool ours = event == ChunkReader::Event::end && input.empty() && reader.trailers().empty();
      const auto theirs = naive_body(text);
      ASSERT_EQ(ours, theirs.has_value()) << testing::PrintToString(text);
      if (ours) {
        ASSERT_EQ(body, *theirs);
        ++accepted;
      }
    }
  });
  EXPECT_GT(accepted, 10U);
}

}  // namespace
}  // namespace bot_bottle::http1
