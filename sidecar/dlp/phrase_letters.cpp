#include "sidecar/dlp/phrase_letters.hpp"

#include <string_view>

namespace bot_bottle::dlp {
namespace {

struct Range {
  std::uint32_t first;
  std::string_view letters;  // one for each code point
};

/// Letters that look alike (Unicode TR39's confusables, the common ones), and Latin with accents. '.' is no letter.
constexpr Range ranges[] = {
    {0x00c0, "aaaaaa.ceeeeiiii.nooooo.ouuuuy..aaaaaa.ceeeeiiii.nooooo.ouuuuy.y"},
    {0x0100,
     "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkklllllll"
     "lllnnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs"},
    {0x0251, "a"},
    {0x0261, "g"},
    {0x026a, "i"},
    {0x0391, "ab.dezh.ik.mn.o.p.styfx.w"},
    {0x03b1, "abydeznoik.uv.onpcotu.x.w"},
    {0x0400, "ee.gesiij"},
    {0x0410, "abbrde.zuukamhonpcty.x"},
    {0x0430, "abbrde.zuukamhonpcty.x"},
    {0x0450, "ee.gesiij"},
    {0x1d00, "a..cde...jk.mno"},
    {0x2170, "i...v....x.lcdm"},
};

constexpr bool is_in(std::uint32_t code, std::uint32_t first, std::uint32_t last) {
  return code >= first && code <= last;
}

/// Nothing is seen of them, and they cut a word in two for a plain search.
bool is_invisible(std::uint32_t code) {
  return code == 0x00ad || code == 0x034f || code == 0x061c || code == 0x180e || code == 0xfeff || code == 0x3164 ||
         code == 0x115f || code == 0x1160 || code == 0xffa0 || is_in(code, 0x0300, 0x036f) ||
         is_in(code, 0x200b, 0x200f) || is_in(code, 0x202a, 0x202e) || is_in(code, 0x2060, 0x206f) ||
         is_in(code, 0xfe00, 0xfe0f) || is_in(code, 0xe0100, 0xe01ef) || code == 0xe0001 || code == 0xe007f ||
         is_in(code, 0x20d0, 0x20ff);
}

bool is_quotation_mark(std::uint32_t code) {
  return code == 0x2018 || code == 0x2019 || code == 0x201a || code == 0x201c || code == 0x201d || code == 0x201e ||
         code == 0x00ab || code == 0x00bb;
}

char compute_letter(std::uint32_t code) {
  if (code < 0x80) return fold_ascii(static_cast<unsigned char>(code));
  if (is_quotation_mark(code)) return is_mark;
  if (is_invisible(code)) return 0;
  if (is_in(code, 0xff01, 0xff5e)) return fold_ascii(static_cast<unsigned char>(code - 0xff01 + 0x21));
  if (is_in(code, 0xe0020, 0xe007e)) return fold_ascii(static_cast<unsigned char>(code - 0xe0000));
  if (is_in(code, 0x24b6, 0x24cf)) return static_cast<char>('a' + (code - 0x24b6));
  if (is_in(code, 0x24d0, 0x24e9)) return static_cast<char>('a' + (code - 0x24d0));
  if (is_in(code, 0x249c, 0x24b5)) return static_cast<char>('a' + (code - 0x249c));
  if (is_in(code, 0x1f130, 0x1f149)) return static_cast<char>('a' + (code - 0x1f130));
  if (is_in(code, 0x1f150, 0x1f169)) return static_cast<char>('a' + (code - 0x1f150));
  if (is_in(code, 0x1f170, 0x1f189)) return static_cast<char>('a' + (code - 0x1f170));
  // Mathematical alphanumeric symbols: thirteen alphabets of twice 26 letters.
  if (is_in(code, 0x1d400, 0x1d6a3)) return static_cast<char>('a' + (code - 0x1d400) % 26);
  for (const Range& range : ranges) {
    if (code < range.first || code - range.first >= range.letters.size()) continue;
    const char letter = range.letters[code - range.first];
    return letter == '.' ? ' ' : letter;
  }
  return ' ';
}

/// Beyond the table, nothing but these looks like Latin or like nothing at all.
constexpr bool may_be_letter(std::uint32_t code) {
  if (code < 0x10000) return code < 0x3165 || code > 0xfdff;  // between them CJK and its like
  return is_in(code, 0x1d400, 0x1d6a3) || is_in(code, 0x1f130, 0x1f189) || code >= 0xe0000;
}

}  // namespace

const std::array<char, table_end>& low_letters() {
  static const std::array<char, table_end> low = [] {
    std::array<char, table_end> letters{};
    for (std::uint32_t i = 0; i < table_end; ++i) letters[i] = compute_letter(i);
    return letters;
  }();
  return low;
}

char fold_letter(std::uint32_t code) {
  if (code < table_end) return low_letters()[code];
  return may_be_letter(code) ? compute_letter(code) : ' ';
}

}  // namespace bot_bottle::dlp
