#include "sidecar/dlp/runs.hpp"

#include <algorithm>
#include <array>

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

/// Octets that a text which hides a secret is made of: ASCII, and what the Unicode disguises begin with.
constexpr auto make_texty() {
  std::array<bool, 256> table{};
  for (std::size_t c = 0x20; c < 0x7f; ++c) table[c] = true;
  for (const unsigned c :
       {0U, 9U, 10U, 13U, 0xefU, 0xbcU, 0xbdU, 0xf3U, 0xa0U, 0x81U, 0xe2U, 0x80U, 0x8bU, 0x9fU, 0x9dU})
    table[c] = true;
  return table;
}
constexpr auto texty = make_texty();

std::string decode(std::string_view digits, unsigned bits) {
  std::string out;
  out.reserve(digits.size() * bits / 8 + 1);
  unsigned value = 0;
  unsigned have = 0;
  for (const char c : digits) {
    value = (value << bits) | static_cast<unsigned>(std::max(0, digit_value(c, bits)));
    have += bits;
    if (have >= 8) {
      have -= 8;
      out += static_cast<char>((value >> have) & 0xffU);
    }
  }
  return out;
}

}  // namespace

int digit_value(char c, unsigned bits) {
  const auto& table = bits == 6 ? base64_digits : bits == 5 ? base32_digits : hex_digits;
  return table[static_cast<unsigned char>(c)];
}

std::size_t find_run(std::string_view text, std::size_t from) {
  // A run of 32 covers one of every two neighbouring blocks of 16, wherever these begin.
  constexpr std::size_t block = min_run_octets / 2;
  for (std::size_t at = from; at + block <= text.size(); at += block) {
    std::size_t i = block;
    while (i > 0 && digit_value(text[at + i - 1], 6) >= 0) --i;
    if (i > 0) continue;
    std::size_t begin = at;
    std::size_t end = at + block;
    while (begin > 0 && end - begin < min_run_octets && digit_value(text[begin - 1], 6) >= 0) --begin;
    while (end < text.size() && end - begin < min_run_octets && digit_value(text[end], 6) >= 0) ++end;
    if (end - begin >= min_run_octets) return at;
  }
  return std::string_view::npos;
}

Run read_run(std::string_view text, std::size_t at) {
  const auto is_digit = [&](std::size_t i) { return i < text.size() && digit_value(text[i], 6) >= 0; };
  Run run;
  run.begin = at;
  while (run.begin > 0 && is_digit(run.begin - 1)) --run.begin;
  std::size_t i = run.begin;
  while (true) {
    for (; is_digit(i) && !(text[i] == 'n' && i > 0 && text[i - 1] == '\\'); ++i) {
      run.digits += text[i];
      run.origin.push_back(static_cast<std::uint32_t>(i));
    }
    run.end = i;
    while (i < text.size() && (text[i] == '\r' || text[i] == '\n')) ++i;
    while (text.substr(i, 2) == "\\n" || text.substr(i, 2) == "\\r") i += 2;
    if (i == run.end || !is_digit(i)) break;
  }
  // What breaks off at the end of the text may go on.
  if (i >= text.size()) run.end = text.size();
  return run;
}

std::vector<DecodedRun> decode_run(std::string_view digits) {
  std::vector<DecodedRun> all;
  const auto add = [&](std::size_t begin, std::string_view part, unsigned bits) {
    const std::size_t alignments = bits == 6 ? 4 : bits == 5 ? 8 : 2;
    for (std::size_t skip = 0; skip < alignments && skip < part.size(); ++skip) {
      const std::string text = decode(part.substr(skip), bits);
      for (std::size_t at = 0; at < text.size();) {
        const std::size_t from = at;
        while (at < text.size() && texty[static_cast<unsigned char>(text[at])]) ++at;
        if (at - from >= min_text_octets) all.push_back({text.substr(from, at - from), bits, begin + skip, from});
        ++at;
      }
    }
  };
  // Hex and base32 stand between the signs that only base64 knows.
  bool narrow = false;
  for (std::size_t begin = 0; begin < digits.size();) {
    const std::size_t end = std::min(digits.find_first_of("+/-_", begin), digits.size());
    const std::string_view part = digits.substr(begin, end - begin);
    if (part.size() >= min_run_octets) {
      for (const unsigned bits : {4U, 5U}) {
        if (std::ranges::all_of(part, [&](char c) { return digit_value(c, bits) >= 0; })) {
          add(begin, part, bits);
          narrow = narrow || part.size() == digits.size();
        }
      }
    }
    begin = end + 1;
  }
  if (!narrow) add(0, digits, 6);
  return all;
}

}  // namespace bot_bottle::dlp
