// Unicode characters that read as ASCII, or not at all. Sources: Unicode 15 code charts; confusables.txt of UTS #39 for
// the letters of other scripts that nobody can tell from ours.
#include <array>
#include <string_view>
#include <utility>

#include "sidecar/dlp/unescape.hpp"

namespace bot_bottle::dlp {
namespace {

struct Range {
  std::uint32_t first;
  std::uint32_t last;
};
constexpr std::array<Range, 22> invisible{
    {{0x00ad, 0x00ad},   {0x0300, 0x036f},  {0x061c, 0x061c},   {0x115f, 0x1160},   {0x17b4, 0x17b5},
     {0x180b, 0x180f},   {0x200b, 0x200f},  {0x202a, 0x202e},   {0x2060, 0x206f},   {0x20d0, 0x20f0},
     {0x2800, 0x2800},   {0x3164, 0x3164},  {0xfe00, 0xfe0f},   {0xfe20, 0xfe2f},   {0xfeff, 0xfeff},
     {0xffa0, 0xffa0},   {0xfff0, 0xfffb},  {0x1d173, 0x1d17a}, {0xe0000, 0xe001f}, {0xe007f, 0xe007f},
     {0x13430, 0x1343f}, {0x1bca0, 0x1bca3}}};

/// Runs of letters or digits in order: `first` to `last` are `from` and the characters after it.
struct Alphabet {
  std::uint32_t first;
  std::uint32_t last;
  char from;
};
constexpr std::array<Alphabet, 17> alphabets{{{0x2460, 0x2468, '1'},  // circled
                                              {0x2474, 0x247c, '1'},  // in parentheses
                                              {0x2488, 0x2490, '1'},  // with a full stop
                                              {0x249c, 0x24b5, 'a'},  // in parentheses
                                              {0x24b6, 0x24cf, 'A'},  // circled
                                              {0x24d0, 0x24e9, 'a'},
                                              {0x24f5, 0x24fd, '1'},  // double circled
                                              {0x2776, 0x277e, '1'},  // negative circled
                                              {0x2780, 0x2788, '1'},
                                              {0x278a, 0x2792, '1'},
                                              {0xff01, 0xff5e, '!'},      // full width
                                              {0x1f110, 0x1f129, 'A'},    // in parentheses
                                              {0x1f130, 0x1f149, 'A'},    // squared
                                              {0x1f150, 0x1f169, 'A'},    // negative circled
                                              {0x1f170, 0x1f189, 'A'},    // negative squared
                                              {0x1f1e6, 0x1f1ff, 'A'},    // regional indicators
                                              {0x1fbf0, 0x1fbf9, '0'}}};  // segmented digits

constexpr std::array<std::pair<char32_t, char>, 103> look_alikes{
    {{U'а', 'a'}, {U'с', 'c'}, {U'ԁ', 'd'}, {U'е', 'e'},  {U'һ', 'h'}, {U'і', 'i'}, {U'ј', 'j'}, {U'ӏ', 'l'},
     {U'о', 'o'}, {U'р', 'p'}, {U'ԛ', 'q'}, {U'ѕ', 's'},  {U'ԝ', 'w'}, {U'х', 'x'}, {U'у', 'y'}, {U'А', 'A'},
     {U'В', 'B'}, {U'С', 'C'}, {U'Е', 'E'}, {U'Н', 'H'},  {U'І', 'I'}, {U'Ј', 'J'}, {U'К', 'K'}, {U'М', 'M'},
     {U'О', 'O'}, {U'Р', 'P'}, {U'Ѕ', 'S'}, {U'Т', 'T'},  {U'Х', 'X'}, {U'У', 'Y'}, {U'Ԍ', 'G'}, {U'Ѵ', 'V'},
     {U'ѵ', 'v'}, {U'Ԛ', 'Q'}, {U'Ԝ', 'W'}, {U'Ү', 'Y'},  {U'ү', 'y'}, {U'Ӏ', 'I'}, {U'З', '3'}, {U'к', 'k'},
     {U'м', 'm'}, {U'т', 't'}, {U'в', 'b'}, {U'н', 'h'},  {U'г', 'r'}, {U'п', 'n'}, {U'α', 'a'}, {U'ο', 'o'},
     {U'ν', 'v'}, {U'ρ', 'p'}, {U'ι', 'i'}, {U'κ', 'k'},  {U'υ', 'u'}, {U'γ', 'y'}, {U'χ', 'x'}, {U'η', 'n'},
     {U'τ', 't'}, {U'ω', 'w'}, {U'ϲ', 'c'}, {U'ϳ', 'j'},  {U'Α', 'A'}, {U'Β', 'B'}, {U'Ε', 'E'}, {U'Ζ', 'Z'},
     {U'Η', 'H'}, {U'Ι', 'I'}, {U'Κ', 'K'}, {U'Μ', 'M'},  {U'Ν', 'N'}, {U'Ο', 'O'}, {U'Ρ', 'P'}, {U'Τ', 'T'},
     {U'Υ', 'Y'}, {U'Χ', 'X'}, {U'Ϲ', 'C'}, {U'Ϳ', 'J'}, {U'ƍ', 'g'}, {U'ɡ', 'g'}, {U'ı', 'i'}, {U'ȷ', 'j'},
     {U'ſ', 'f'}, {U'ɑ', 'a'}, {U'ɩ', 'i'}, {U'ʋ', 'u'},  {U'ᴄ', 'c'}, {U'ᴏ', 'o'}, {U'ᴠ', 'v'}, {U'ᴡ', 'w'},
     {U'ᴢ', 'z'}, {U'ℎ', 'h'}, {U'ℓ', 'l'}, {U'ℕ', 'N'},  {U'ℙ', 'P'}, {U'ℚ', 'Q'}, {U'ℝ', 'R'}, {U'ℤ', 'Z'},
     {U'ℂ', 'C'}, {U'K', 'K'}, {U'ℴ', 'o'}, {U'⁄', '/'},  {U'‐', '-'}, {U'‑', '-'}, {U'−', '-'}}};

/// Below 0x2000: a table, so that a text in Cyrillic or Greek does not search for each letter.
constexpr std::uint32_t small_codes = 0x2300;
constexpr auto make_small() {
  std::array<std::int8_t, small_codes> table{};
  for (auto& entry : table) entry = -1;
  for (const auto& [code, ascii] : look_alikes)
    if (code < small_codes) table[code] = static_cast<std::int8_t>(ascii);
  for (const Range& range : invisible)
    for (std::uint32_t code = range.first; code <= range.last && code < small_codes; ++code) table[code] = 0;
  for (const std::uint32_t space : {0x00a0U, 0x1680U, 0x2028U, 0x2029U, 0x202fU, 0x205fU}) table[space] = ' ';
  for (std::uint32_t space = 0x2000; space <= 0x200a; ++space) table[space] = ' ';
  return table;
}
constexpr auto small = make_small();

}  // namespace

int fold_code_point(std::uint32_t code) {
  if (code < 0x80) return -1;
  if (code < small_codes) return small[code];
  if (code >= 0x3400 && code < 0xfe00) return -1;                                   // the bulk of the world's text
  if (code >= 0xe0020 && code <= 0xe007e) return static_cast<int>(code - 0xe0000);  // tags
  if (code >= 0xe0100 && code <= 0xe01ef)
    return static_cast<int>(code - 0xe0100 + 16);  // octets in variation selectors
  if (code >= 0x1d400 && code <= 0x1d6a3) {        // mathematical alphabets, 13 of 52 letters
    const std::uint32_t letter = (code - 0x1d400) % 52;
    return static_cast<int>(letter < 26 ? 'A' + letter : 'a' + letter - 26);
  }
  if (code >= 0x1d7ce && code <= 0x1d7ff) return static_cast<int>('0' + (code - 0x1d7ce) % 10);
  for (const Range& range : invisible)
    if (code >= range.first && code <= range.last) return 0;
  for (const Alphabet& alphabet : alphabets)
    if (code >= alphabet.first && code <= alphabet.last)
      return static_cast<int>(static_cast<std::uint32_t>(alphabet.from) + (code - alphabet.first));
  return code == 0x3000 ? ' ' : -1;
}

}  // namespace bot_bottle::dlp
