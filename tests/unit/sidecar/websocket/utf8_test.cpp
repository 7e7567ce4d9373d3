// The streaming checker agrees with the one that sees the whole text, wherever the text is cut.
#include "sidecar/websocket/utf8.hpp"

#include <gtest/gtest.h>

#include <string>

#include "core/base/text.hpp"

namespace bot_bottle::websocket {
namespace {

bool is_utf8_in_pieces(std::string_view text, std::size_t piece) {
  Utf8Checker checker;
  for (std::size_t at = 0; at < text.size(); at += piece) {
    if (!checker.add(text.substr(at, piece))) return false;
  }
  return checker.is_complete();
}

TEST(WebSocketUtf8, agrees_with_the_whole_text_for_all_short_strings) {
  const unsigned char octets[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf,
                                  0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xff};
  std::string text;
  for (const unsigned char a : octets) {
    for (const unsigned char b : octets) {
      for (const unsigned char c : octets) {
        for (const unsigned char d : octets) {
          for (const std::size_t size : {std::size_t{2}, std::size_t{3}, std::size_t{4}}) {
            const char all[] = {static_cast<char>(a), static_cast<char>(b), static_cast<char>(c), static_cast<char>(d)};
            text.assign(all, size);
            const bool expected = is_valid_utf8(text);
            ASSERT_EQ(is_utf8_in_pieces(text, 1), expected) << unsigned{a} << " " << unsigned{b} << " " << unsigned{c};
            ASSERT_EQ(is_utf8_in_pieces(text, 3), expected);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace bot_bottle::websocket
