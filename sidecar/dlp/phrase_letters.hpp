// What letter a character is read as by a person, and by a model. Internal to sidecar/dlp.
#pragma once

#include <array>
#include <cstdint>

namespace bot_bottle::dlp {

/// "1gn0r3": what a person reads as a letter; ' ': any other octet.
constexpr char fold_ascii(unsigned char c) {
  if (c >= 'a' && c <= 'z') return static_cast<char>(c);
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
  switch (c) {
    case '0':
      return 'o';
    case '1':
      return 'i';
    case '3':
      return 'e';
    case '4':
    case '@':
      return 'a';
    case '5':
    case '$':
      return 's';
    case '7':
      return 't';
    default:
      return ' ';
  }
}

/// What fold_letter gives for a quotation mark.
inline constexpr char is_mark = 1;
/// The letter a code point is read as; 0: nothing at all (zero-width); ' ': anything else.
char fold_letter(std::uint32_t code);

/// fold_letter of the first code points, as a table.
inline constexpr std::uint32_t table_end = 0x2200;
const std::array<char, table_end>& low_letters();

}  // namespace bot_bottle::dlp
