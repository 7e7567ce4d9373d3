// UTF-8 that comes in pieces cut anywhere (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF).
#pragma once

#include <cstdint>
#include <string_view>

namespace bot_bottle::websocket {

class Utf8Checker {
 public:
  /// False: this can never be UTF-8. Final until reset.
  [[nodiscard]] bool add(std::string_view bytes);
  /// No character is cut off.
  [[nodiscard]] bool is_complete() const { return left_ == 0; }
  void reset() { *this = {}; }

 private:
  unsigned left_ = 0;  // octets that the present character still needs
  unsigned char low_ = 0x80;
  unsigned char high_ = 0xbf;  // what its next octet may be
};

}  // namespace bot_bottle::websocket
