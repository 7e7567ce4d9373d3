#include "sidecar/dlp/runs.hpp"

#include <algorithm>
#include <array>

#include "sidecar/dlp/octet_skips.hpp"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace bot_bottle::dlp {
namespace {

constexpr std::size_t min_text_octets = 20;

constexpr auto make_digits(unsigned bits) {
  std::array<std::int8_t, 256> table{};
  for (auto& entry : table) entry = -1;
  const auto set = [&](char c, int value) { table[static_cast<unsigned char>(c)] = static_cast<std::int8_t>(value); };
  for (int i = 0; i < 26; ++i) {
    if (bits == 6) {
      set(static_cast<char>('A' + i), i);
      set(static_cast<char>('a' + i), 26 + i);
    } else if (bits == 5 || i < 6) {
      set(static_cast<char>('A' + i), bits == 5 ? i : 10 + i);
      set(static_cast<char>('a' + i), bits == 5 ? i : 10 + i);
    }
  }
  for (int i = 0; i < 10; ++i) {
    if (bits == 6) set(static_cast<char>('0' + i), 52 + i);
    if (bits == 5 && i >= 2 && i <= 7) set(static_cast<char>('0' + i), 24 + i);
    if (bits == 4) set(static_cast<char>('0' + i), i);
  }
  if (bits == 6) {
    set('+', 62);
    set('-', 62);
    set('/', 63);
    set('_', 63);
  }
  return table;
}
constexpr auto base64_digits = make_digits(6);
constexpr auto base32_digits = make_digits(5);
constexpr auto hex_digits = make_digits(4);

/// What a base64 digit cannot be besides.
constexpr unsigned upper_kind = 1;
constexpr unsigned lower_kind = 2;
constexpr unsigned no_hex_kind = 4;
constexpr unsigned no_base32_kind = 8;
constexpr unsigned sign_kind = 16;
constexpr auto make_kinds() {
  std::array<std::uint8_t, 256> table{};
  for (std::size_t c = 0; c < table.size(); ++c) {
    unsigned kind = 0;
    if (c >= 'A' && c <= 'Z') kind |= upper_kind;
    if (c >= 'a' && c <= 'z') kind |= lower_kind;
    if (hex_digits[c] < 0) kind |= no_hex_kind;
    if (base32_digits[c] < 0) kind |= no_base32_kind;
    if (base64_digits[c] >= 62) kind |= sign_kind;
    table[c] = static_cast<std::uint8_t>(kind);
  }
  return table;
}
constexpr auto kinds = make_kinds();

/// digit_value, where the compiler can see the table.
inline int value_in(const std::array<std::int8_t, 256>& table, char c) {
  return table[static_cast<unsigned char>(c)];
}

/// Octets that a text which hides a secret is made of: ASCII, and what the Unicode disguises are written with.
constexpr auto make_texty() {
  std::array<bool, 256> table{};
  for (std::size_t c = 0x20; c < 0x7f; ++c) table[c] = true;
  for (std::size_t c = 0x80; c < 0xc0; ++c) table[c] = true;
  for (const unsigned c :
       {0x09U, 0x0aU, 0x0dU, 0xc2U, 0xccU, 0xcdU, 0xceU, 0xcfU, 0xd0U, 0xd1U, 0xe1U, 0xe2U, 0xe3U, 0xefU, 0xf0U, 0xf3U})
    table[c] = true;
  return table;
}
constexpr auto texty = make_texty();

/// Octet `at` of what the digits say, straight from the two or three digits it lies in. Two digits more than there are.
template <unsigned bits>
unsigned char octet_of(const std::uint8_t* values, std::size_t at) {
  const std::size_t bit = at * 8;
  const std::uint8_t* first = values + bit / bits;
  const unsigned value =
      (static_cast<unsigned>(first[0]) << (2 * bits)) | (static_cast<unsigned>(first[1]) << bits) | first[2];
  return static_cast<unsigned char>(value >> (3 * bits - 8 - bit % bits));
}

/// Texts in what the digits say from `values` on, as one searches a word: the last octet of where a text could stand
/// decides first, and mostly alone.
template <unsigned bits>
void find_texts(const std::uint8_t* values, std::size_t digits, std::size_t offset, std::vector<DecodedRun>& all) {
  const std::size_t octets = digits * bits / 8;
  const auto is_text = [&](std::size_t at) { return texty[octet_of<bits>(values, at)]; };
  for (std::size_t from = 0; from + min_text_octets <= octets;) {
    std::size_t checked = from + min_text_octets;
    while (checked > from && is_text(checked - 1)) --checked;
    if (checked > from) {
      from = checked;
      continue;
    }
    DecodedRun found{{}, bits, offset, from};
    for (std::size_t at = from; at < octets && is_text(at); ++at)
      found.text += static_cast<char>(octet_of<bits>(values, at));
    from += found.text.size() + 1;
    all.push_back(std::move(found));
  }
}

}  // namespace

int digit_value(char c, unsigned bits) {
  const auto& table = bits == 6 ? base64_digits : bits == 5 ? base32_digits : hex_digits;
  return table[static_cast<unsigned char>(c)];
}

std::size_t find_run(std::string_view text, std::size_t from) {
  // A run of 32 covers one of every two neighbouring blocks of 16, wherever these begin.
  constexpr std::size_t block = min_run_octets / 2;
  for (std::size_t at = skip_without_run(text, from); at + block <= text.size(); at += block) {
#if defined(__x86_64__)
    // Nearly every block of other text has a space or a sign in it, or an octet above ASCII (negative here).
    const __m128i octets = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + at));
    if (_mm_movemask_epi8(_mm_cmplt_epi8(octets, _mm_set1_epi8('+'))) != 0) {
      at = skip_without_run(text, at + block) - block;
      continue;
    }
#endif
    std::size_t i = block;
    while (i > 0 && value_in(base64_digits, text[at + i - 1]) >= 0) --i;
    if (i > 0) continue;
    std::size_t begin = at;
    std::size_t end = at + block;
    while (begin > 0 && end - begin < min_run_octets && digit_value(text[begin - 1], 6) >= 0) --begin;
    while (end < text.size() && end - begin < min_run_octets && digit_value(text[end], 6) >= 0) ++end;
    if (end - begin >= min_run_octets) return at;
  }
  return std::string_view::npos;
}

void read_run(std::string_view text, std::size_t at, Run& run) {
  const auto is_digit = [&](std::size_t i) { return i < text.size() && value_in(base64_digits, text[i]) >= 0; };
  run.digits.clear();
  run.lines.clear();
  run.begin = at;
  while (run.begin > 0 && is_digit(run.begin - 1)) --run.begin;
  // The letter of "\\n" before the first line is none of its digits (a run that ended before it would be found for
  // ever).
  if (run.begin > 0 && text[run.begin - 1] == '\\' && text[run.begin] == 'n') ++run.begin;
  std::size_t i = run.begin;
  while (true) {
    const std::size_t line = i;
    while (is_digit(i) && !(i == line && text[i] == 'n' && i > 0 && text[i - 1] == '\\')) ++i;
    if (i > line) run.lines.push_back({run.digits.size(), line});
    run.digits += text.substr(line, i - line);
    run.end = i;
    while (i < text.size() && (text[i] == '\r' || text[i] == '\n')) ++i;
    while (text.substr(i, 2) == "\\n" || text.substr(i, 2) == "\\r") i += 2;
    if (i == run.end || !is_digit(i)) break;
  }
  // What breaks off at the end of the text may go on.
  if (i >= text.size()) run.end = text.size();
}

namespace {

bool is_pair(std::string_view text, std::size_t at) {
  return at + 1 < text.size() && digit_value(text[at], 4) >= 0 && digit_value(text[at + 1], 4) >= 0;
}
/// The signs after the pair at `at`, before the next; empty when there is none.
std::string_view sign_after(std::string_view text, std::size_t at) {
  if (!is_pair(text, at)) return {};
  for (const std::size_t size : {1U, 2U}) {
    const std::string_view sign = text.substr(at + 2, size);
    if (is_pair(text, at + 2 + size) &&
        std::ranges::none_of(sign, [](char c) { return digit_value(c, 6) >= 0 && c != '-'; }))
      return sign;
  }
  return {};
}

}  // namespace

std::size_t find_pairs(std::string_view text, std::size_t from) {
#if defined(__x86_64__)
  // Two of three, or two of four, octets are digits, wherever the block begins.
  constexpr unsigned of_three = 0xb6db;  // 1101 1011 0110 1101 1, cut off at sixteen
  const auto is_candidate = [&](unsigned mask) {
    return mask == of_three || mask == 0x6db6U || mask == 0xdb6dU || mask == 0x3333U || mask == 0x6666U ||
           mask == 0xccccU || mask == 0x9999U;
  };
  const __m128i lower_bit = _mm_set1_epi8(0x20);
  for (from = skip_without_pairs(text, from); from + 16 <= text.size(); from += 16) {
    const __m128i octets = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + from));
    const __m128i letter = _mm_sub_epi8(_mm_or_si128(octets, lower_bit), _mm_set1_epi8('a'));
    const __m128i digit = _mm_sub_epi8(octets, _mm_set1_epi8('0'));
    const __m128i found = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(5)), letter),
                                       _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit));
    if (!is_candidate(static_cast<unsigned>(_mm_movemask_epi8(found)))) {
      from = skip_without_pairs(text, from + 16) - 16;
      continue;
    }
    if (read_pairs(text, from).digits.size() >= 2 * min_pairs) return from;
  }
  return std::string_view::npos;
#else
  for (; from + 16 <= text.size(); from += 16)
    if (read_pairs(text, from).digits.size() >= 2 * min_pairs) return from;
  return std::string_view::npos;
#endif
}

Run read_pairs(std::string_view text, std::size_t at) {
  Run run;
  run.begin = run.end = at;
  std::size_t first = at;
  while (first < at + 4 && (sign_after(text, first).empty() || (first > 0 && digit_value(text[first - 1], 4) >= 0)))
    ++first;
  const std::string_view sign = sign_after(text, first);
  if (sign.empty()) return run;
  const std::size_t step = sign.size() + 2;
  while (first >= step && is_pair(text, first - step) && text.substr(first - sign.size(), sign.size()) == sign)
    first -= step;
  run.begin = first;
  while (is_pair(text, first)) {
    run.lines.push_back({run.digits.size(), first});
    run.digits += text.substr(first, 2);
    run.end = first + 2;
    if (text.substr(run.end, sign.size()) != sign) break;
    first += step;
  }
  // What breaks off at the end of the text may go on.
  if (text.size() - run.end <= step) run.end = text.size();
  return run;
}

std::size_t Run::origin_of(std::size_t digit) const {
  if (digit >= digits.size() || lines.empty()) return end;
  const auto after = std::ranges::upper_bound(lines, digit, {}, &Line::digit);
  return (after - 1)->at + (digit - (after - 1)->digit);
}

std::vector<DecodedRun> decode_run(std::string_view digits) {
  std::vector<DecodedRun> all;
  // Most runs are digests and identifiers: no memory from the heap for them.
  std::array<std::uint8_t, 512> few;
  std::vector<std::uint8_t> many;
  if (digits.size() + 2 > few.size()) many.resize(digits.size() + 2);
  std::uint8_t* const values = many.empty() ? few.data() : many.data();
  const auto add = [&](std::size_t begin, std::size_t end, unsigned bits) {
    const auto& table = bits == 6 ? base64_digits : bits == 5 ? base32_digits : hex_digits;
    for (std::size_t i = begin; i < end; ++i)
      values[i] = static_cast<std::uint8_t>(std::max(0, value_in(table, digits[i])));
    values[end] = values[end + 1] = 0;
    const auto find = bits == 6 ? find_texts<6> : bits == 5 ? find_texts<5> : find_texts<4>;
    const std::size_t alignments = bits == 6 ? 4 : bits == 5 ? 8 : 2;
    for (std::size_t skip = 0; skip < alignments && begin + skip < end; ++skip)
      find(values + begin + skip, end - begin - skip, begin + skip, all);
  };
  // Hex and base32 stand between the signs that only base64 knows, and are of one case: base64 may by chance have
  // nothing but these digits.
  bool narrow = false;
  for (std::size_t begin = 0; begin < digits.size();) {
    std::size_t end = begin;
    unsigned seen = 0;
    while (end < digits.size() && (kinds[static_cast<unsigned char>(digits[end])] & sign_kind) == 0)
      seen |= kinds[static_cast<unsigned char>(digits[end++])];
    const bool one_case = (seen & (upper_kind | lower_kind)) != (upper_kind | lower_kind);
    if (end - begin >= min_run_octets && one_case) {
      for (const unsigned bits : {4U, 5U}) {
        if ((seen & (bits == 4 ? no_hex_kind : no_base32_kind)) != 0) continue;
        add(begin, end, bits);
        narrow = narrow || end - begin == digits.size();
      }
    }
    begin = end + 1;
  }
  if (!narrow) add(0, digits.size(), 6);
  return all;
}

}  // namespace bot_bottle::dlp
