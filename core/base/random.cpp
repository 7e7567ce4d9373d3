#include "core/base/random.hpp"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstdlib>

namespace bot_bottle {

void random_bytes(std::span<unsigned char> out) {
  while (!out.empty()) {
    const ssize_t got = ::getrandom(out.data(), out.size(), 0);
    if (got < 0 && errno != EINTR) std::abort();
    if (got > 0) out = out.subspan(static_cast<std::size_t>(got));
  }
}

std::string random_base36(std::size_t count) {
  static constexpr char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
  constexpr unsigned char limit = 252;  // 7 * 36: values above would favour the first digits
  std::string text;
  std::array<unsigned char, 32> bytes{};
  while (true) {
    random_bytes(bytes);
    for (const unsigned char byte : bytes) {
      if (text.size() == count) return text;
      if (byte < limit) text += digits[byte % 36];
    }
  }
}

}  // namespace bot_bottle
