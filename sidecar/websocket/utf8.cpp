#include "sidecar/websocket/utf8.hpp"

namespace bot_bottle::websocket {

bool Utf8Checker::add(std::string_view bytes) {
  for (const char c : bytes) {
    const auto octet = static_cast<unsigned char>(c);
    if (left_ > 0) {
      if (octet < low_ || octet > high_) return false;
      low_ = 0x80;
      high_ = 0xbf;
      --left_;
    } else if (octet >= 0x80) {
      if (octet < 0xc2 || octet > 0xf4) return false;
      left_ = octet < 0xe0 ? 1 : octet < 0xf0 ? 2 : 3;
      if (octet == 0xe0) low_ = 0xa0;
      if (octet == 0xed) high_ = 0x9f;
      if (octet == 0xf0) low_ = 0x90;
      if (octet == 0xf4) high_ = 0x8f;
    }
  }
  return true;
}

}  // namespace bot_bottle::websocket
