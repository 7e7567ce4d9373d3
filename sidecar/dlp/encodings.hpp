// How a secret reads when somebody encoded it, or a text that holds it. Internal to sidecar/dlp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bot_bottle::dlp {

enum class Encoding : std::uint8_t { plain, base64, base32, hex, reversed, rot13 };
std::string_view name_of(Encoding encoding);

/// One way to apply an encoding. `shift`: octets that stand before the text in its group (base64: of 3, base32: of 5).
struct Spelling {
  Encoding encoding = Encoding::plain;
  std::uint8_t shift = 0;
  /// Upper-case hex, url-safe base64: they differ only for what encodes them again, for a skeleton has no case.
  bool other_alphabet = false;
};
/// Appends the characters that depend on `text` alone.
void append_encoded(std::string& out, std::string_view text, Spelling spelling);

}  // namespace bot_bottle::dlp
