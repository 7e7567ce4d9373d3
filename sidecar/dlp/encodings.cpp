#include "sidecar/dlp/encodings.hpp"

#include <array>

namespace bot_bottle::dlp {
namespace {

/// Digits of `bits` bits each, of which all bits belong to `text`, when it stands `shift` octets into a group.
void append_digits(std::string& out, std::string_view text, std::size_t shift, std::size_t bits,
                   std::string_view alphabet) {
  const std::size_t total = (shift + text.size()) * 8;
  for (std::size_t digit = (shift * 8 + bits - 1) / bits; (digit + 1) * bits <= total; ++digit) {
    unsigned value = 0;
    for (std::size_t bit = digit * bits; bit < (digit + 1) * bits; ++bit) {
      const auto octet = static_cast<unsigned char>(text[bit / 8 - shift]);
      value = (value << 1U) | ((static_cast<unsigned>(octet) >> (7U - bit % 8)) & 1U);
    }
    out += alphabet[value];
  }
}

char rot13(char c) {
  const auto turn = [&](char first) { return static_cast<char>(first + (c - first + 13) % 26); };
  if (c >= 'a' && c <= 'z') return turn('a');
  return c >= 'A' && c <= 'Z' ? turn('A') : c;
}

}  // namespace

std::string_view name_of(Encoding encoding) {
  static constexpr std::array<std::string_view, 7> names{"plain",    "base64", "base32", "hex",
                                                         "reversed", "rot13",  "utf16"};
  return names.at(static_cast<std::size_t>(encoding));
}

void append_encoded(std::string& out, std::string_view text, Spelling spelling) {
  static constexpr std::string_view standard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  static constexpr std::string_view url_safe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  switch (spelling.encoding) {
    case Encoding::plain:
      out += text;
      break;
    case Encoding::base64:
      append_digits(out, text, spelling.shift, 6, spelling.other_alphabet ? url_safe : standard);
      break;
    case Encoding::base32:
      append_digits(out, text, spelling.shift, 5, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
      break;
    case Encoding::hex:
      append_digits(out, text, 0, 4, spelling.other_alphabet ? "0123456789ABCDEF" : "0123456789abcdef");
      break;
    case Encoding::reversed:
      out.append(text.rbegin(), text.rend());
      break;
    case Encoding::rot13:
      for (const char c : text) out += rot13(c);
      break;
    case Encoding::utf16:  // of ASCII; the big-endian form is the same but for its first octet
      for (const char c : text) out.append(1, c).append(1, '\0');
      out.pop_back();
      break;
  }
}

}  // namespace bot_bottle::dlp
