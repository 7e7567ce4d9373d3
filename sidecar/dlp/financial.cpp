// How it is fast: each of these texts is long, so it must lie over one of the sample points that stand a few octets
// apart. Only what stands at a sample point is looked at; most of a text is never read.
#include "sidecar/dlp/financial.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "core/base/text.hpp"

namespace bot_bottle::dlp {
namespace {

constexpr std::array<std::string_view, 2048> words{
#include "sidecar/dlp/bip39_words.inc"
};

constexpr std::size_t step = 12;          // shorter than the shortest of them (14 digits, 15 characters)
constexpr std::size_t word_step = 36;     // shorter than twelve words of three letters
constexpr std::size_t reach = 400;        // longer than 24 words with what is between them
constexpr std::size_t back = 64;          // kept before the first sample point: one card, IBAN or word
constexpr std::size_t max_separator = 8;  // `", "`, line ends, numbering, "%20"
constexpr std::size_t most_words = 24;

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
constexpr bool is_letter(char c) {
  return is_upper(c) || (c >= 'a' && c <= 'z');
}
constexpr bool is_word_character(char c) {
  return is_digit(c) || is_letter(c) || c == '_';
}

constexpr std::string_view base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
constexpr std::array<signed char, 256> base58_table = [] {
  std::array<signed char, 256> table{};
  table.fill(-1);
  for (std::size_t i = 0; i < base58.size(); ++i)
    table[static_cast<unsigned char>(base58[i])] = static_cast<signed char>(i);
  return table;
}();
int base58_value(char c) {
  return base58_table[static_cast<unsigned char>(c)];
}

using Digest = std::array<unsigned char, SHA256_DIGEST_LENGTH>;
Digest sha256(const void* bytes, std::size_t size) {
  Digest digest{};
  ::SHA256(static_cast<const unsigned char*>(bytes), size, digest.data());
  return digest;
}

/// The payload of a Base58Check text of `size` octets (checksum included); nothing when the checksum is not right.
std::optional<std::string> base58_check(std::string_view text, std::size_t size) {
  std::vector<unsigned> number(size, 0);  // big endian
  for (const char c : text) {
    unsigned carry = static_cast<unsigned>(base58_value(c));
    for (std::size_t i = size; i-- > 0;) {
      carry += number[i] * 58U;
      number[i] = carry & 0xffU;
      carry >>= 8U;
    }
    if (carry != 0) return std::nullopt;
  }
  std::string bytes;
  for (const unsigned octet : number) bytes += static_cast<char>(octet);
  const std::string payload = bytes.substr(0, size - 4);
  const Digest once = sha256(payload.data(), payload.size());
  const Digest twice = sha256(once.data(), once.size());
  if (std::memcmp(twice.data(), bytes.data() + size - 4, 4) != 0) return std::nullopt;
  return payload;
}

struct Country {
  std::string_view code;
  std::size_t size;
};
/// ISO 13616 registry.
constexpr Country countries[] = {
    {"AD", 24}, {"AE", 23}, {"AL", 28}, {"AT", 20}, {"AZ", 28}, {"BA", 20}, {"BE", 16}, {"BG", 22}, {"BH", 22},
    {"BR", 29}, {"BY", 28}, {"CH", 21}, {"CR", 22}, {"CY", 28}, {"CZ", 24}, {"DE", 22}, {"DK", 18}, {"DO", 28},
    {"EE", 20}, {"EG", 29}, {"ES", 24}, {"FI", 18}, {"FO", 18}, {"FR", 27}, {"GB", 22}, {"GE", 22}, {"GI", 23},
    {"GL", 18}, {"GR", 27}, {"GT", 28}, {"HR", 21}, {"HU", 28}, {"IE", 22}, {"IL", 23}, {"IQ", 23}, {"IS", 26},
    {"IT", 27}, {"JO", 30}, {"KW", 30}, {"KZ", 20}, {"LB", 28}, {"LC", 32}, {"LI", 21}, {"LT", 20}, {"LU", 20},
    {"LV", 21}, {"LY", 25}, {"MC", 27}, {"MD", 24}, {"ME", 22}, {"MK", 19}, {"MR", 27}, {"MT", 31}, {"MU", 30},
    {"NL", 18}, {"NO", 15}, {"PK", 24}, {"PL", 28}, {"PS", 29}, {"PT", 25}, {"QA", 29}, {"RO", 24}, {"RS", 22},
    {"SA", 24}, {"SC", 31}, {"SE", 24}, {"SI", 19}, {"SK", 24}, {"SM", 27}, {"ST", 25}, {"SV", 28}, {"TL", 23},
    {"TN", 24}, {"TR", 26}, {"UA", 29}, {"VA", 22}, {"VG", 24}, {"XK", 20}};

/// What payment providers print in their own documentation: no account behind them.
constexpr std::string_view test_cards[] = {
    "4242424242424242", "4111111111111111", "4012888888881881", "4000056655665556", "5555555555554444",
    "5105105105105100", "5200828282828210", "2223003122003222", "378282246310005",  "371449635398431",
    "6011111111111117", "6011000990139424", "3566002020360505", "3530111333300000", "30569309025904",
    "38520000023237",   "6200000000000005"};

struct Range {
  std::size_t begin;
  std::size_t end;
  std::string_view rule;
};

/// Digits in one piece, or as they are printed: 4-4-4-4, 4-6-5, 4-6-4 with one kind of separator.
std::optional<Range> card_at(std::string_view text, std::size_t at) {
  const auto part = [&](std::size_t i) {
    return i < text.size() && (is_digit(text[i]) || text[i] == ' ' || text[i] == '-');
  };
  std::size_t begin = at;
  while (begin > 0 && part(begin - 1) && at - begin < 40) --begin;
  std::size_t end = at;
  while (part(end) && end - at < 40) ++end;
  // Every digit may begin one, where no other digit or letter stands before it.
  for (std::size_t i = begin; i < end; ++i) {
    if (i > at || i + step <= at) continue;  // an earlier or later sample point is the first to see it
    if (!is_digit(text[i]) || (i > 0 && (is_word_character(text[i - 1]) || text[i - 1] == '.'))) continue;
    std::string digits;
    std::vector<std::size_t> groups;
    char separator = 0;
    std::size_t group = 0;
    for (std::size_t k = i; k < end; ++k) {
      if (is_digit(text[k])) {
        if (digits.size() == 16) break;
        digits += text[k];
        ++group;
      } else if (group > 0 && (separator == 0 || separator == text[k])) {
        separator = text[k];
        groups.push_back(group);
        group = 0;
      } else {
        break;
      }
      const std::size_t next = k + 1;
      const bool ends = group > 0 && (next >= text.size() ||
                                      !(is_word_character(text[next]) ||
                                        (text[next] == '.' && next + 1 < text.size() && is_digit(text[next + 1]))));
      if (!ends || digits.size() < 14 || !is_payment_card(digits)) continue;
      std::vector<std::size_t> all = groups;
      all.push_back(group);
      using Groups = std::vector<std::size_t>;
      if (all == Groups{digits.size()} || all == Groups{4, 4, 4, 4} || all == Groups{4, 6, 5} || all == Groups{4, 6, 4})
        return Range{i, next, "payment-card"};
    }
  }
  return std::nullopt;
}

std::optional<Range> iban_at(std::string_view text, std::size_t at) {
  const auto part = [&](std::size_t i) { return is_digit(text[i]) || is_upper(text[i]) || text[i] == ' '; };
  std::size_t begin = at;
  while (begin > 0 && part(begin - 1) && at - begin < 44) --begin;
  for (std::size_t i = begin; i <= at; ++i) {
    if (i + 15 > text.size() || !is_upper(text[i]) || !is_upper(text[i + 1]) || !is_digit(text[i + 2]) ||
        !is_digit(text[i + 3]) || (i > 0 && is_word_character(text[i - 1])))
      continue;
    const auto country = std::ranges::find(countries, text.substr(i, 2), &Country::code);
    if (country == std::end(countries)) continue;
    std::string compact;
    std::size_t end = i;
    while (end < text.size() && part(end) && compact.size() < country->size) {
      if (text[end] == ' ' && text[end - 1] == ' ') break;
      if (text[end] != ' ') compact += text[end];
      ++end;
    }
    if (end < text.size() && is_word_character(text[end])) continue;
    if (is_iban(compact)) return Range{i, end, "iban"};
  }
  return std::nullopt;
}

std::optional<Range> key_at(std::string_view text, std::size_t at) {
  constexpr std::size_t longest = 112;
  std::size_t begin = at;
  while (begin > 0 && base58_value(text[begin - 1]) >= 0 && at - begin < longest) --begin;
  std::size_t end = at;
  while (end < text.size() && base58_value(text[end]) >= 0 && end - at < longest) ++end;
  if ((begin > 0 && is_word_character(text[begin - 1])) || (end < text.size() && is_word_character(text[end])))
    return std::nullopt;
  const std::string_view kind = private_key_kind(text.substr(begin, end - begin));
  if (kind.empty()) return std::nullopt;
  return Range{begin, end, kind};
}

struct Word {
  std::size_t begin;
  std::size_t end;
  int value;
};

/// The word around or behind `at`.
std::optional<Word> word_at(std::string_view text, std::size_t at) {
  std::size_t begin = at;
  while (begin < text.size() && !is_letter(text[begin]) && begin - at <= max_separator) ++begin;
  if (begin >= text.size() || !is_letter(text[begin])) return std::nullopt;
  while (begin > 0 && is_letter(text[begin - 1]) && at - std::min(at, begin) < 9) --begin;
  std::size_t end = begin;
  while (end < text.size() && is_letter(text[end]) && end - begin < 9) ++end;
  if (end - begin < 3 || end - begin > 8) return std::nullopt;
  const int value = bip39_word(to_lower(text.substr(begin, end - begin)));
  if (value < 0) return std::nullopt;
  return Word{begin, end, value};
}

bool has_checksum(const std::vector<Word>& run, std::size_t first, std::size_t count) {
  std::array<unsigned char, 33> octets{};  // 24 words: 256 bits and 8 of checksum
  std::size_t bit = 0;
  bool ascending = true;  // a piece of the list itself
  for (std::size_t i = first; i < first + count; ++i) {
    ascending = ascending && (i == first || run[i].value > run[i - 1].value);
    for (int place = 10; place >= 0; --place, ++bit)
      if (((static_cast<unsigned>(run[i].value) >> static_cast<unsigned>(place)) & 1U) != 0)
        octets[bit / 8] = static_cast<unsigned char>(octets[bit / 8] | (0x80U >> (bit % 8)));
  }
  if (ascending) return false;
  const std::size_t entropy_octets = count * 4 / 3;
  const unsigned wanted = 0xff00U >> (count / 3) & 0xffU;
  return (sha256(octets.data(), entropy_octets)[0] & wanted) == (octets[entropy_octets] & wanted);
}

std::optional<Range> seed_at(std::string_view text, std::size_t at) {
  const auto middle = word_at(text, at);
  if (!middle) return std::nullopt;
  std::vector<Word> run{*middle};
  while (run.size() < most_words && run.front().begin > 0) {
    std::size_t end = run.front().begin;
    while (end > 0 && !is_letter(text[end - 1]) && run.front().begin - end <= max_separator) --end;
    if (end == 0 || !is_letter(text[end - 1]) || run.front().begin - end > max_separator) break;
    const auto word = word_at(text, end - 1);
    if (!word || word->end != end) break;
    run.insert(run.begin(), *word);
  }
  const std::size_t before = run.size();
  while (run.size() < before + most_words) {
    std::size_t begin = run.back().end;
    while (begin < text.size() && !is_letter(text[begin]) && begin - run.back().end <= max_separator) ++begin;
    if (begin >= text.size() || begin - run.back().end > max_separator) break;
    const auto word = word_at(text, begin);
    if (!word || word->begin != begin) break;
    run.push_back(*word);
  }
  for (std::size_t count = 12; count <= most_words; count += 3)
    for (std::size_t first = 0; first + count <= run.size(); ++first)
      // Only what this sample point is the first to see: hostile text is judged once, not at each of them.
      if (run[first].begin <= at && run[first].begin + word_step > at && has_checksum(run, first, count))
        return Range{run[first].begin, run[first + count - 1].end, "bip39-seed-phrase"};
  return std::nullopt;
}

std::optional<Range> look_at(std::string_view text, std::size_t at, bool words_too) {
  const char c = text[at];
  if (is_digit(c) || c == ' ' || c == '-')
    if (auto found = card_at(text, at)) return found;
  if (is_digit(c) || is_upper(c) || c == ' ')
    if (auto found = iban_at(text, at)) return found;
  if (words_too && base58_value(c) >= 0)
    if (auto found = key_at(text, at)) return found;
  if (words_too) return seed_at(text, at);
  return std::nullopt;
}

Finding describe(const Range& range, std::uint64_t base) {
  Finding finding;
  finding.rule = range.rule;
  finding.encoding = "plain";
  finding.offset = base + range.begin;
  finding.snippet = "********";  // what stands around a number or a phrase may be more of the kind
  return finding;
}

}  // namespace

bool is_payment_card(std::string_view digits) {
  if (std::ranges::find(test_cards, digits) != std::end(test_cards)) return false;
  const auto prefix = [&](std::size_t count) {
    int value = 0;
    for (const char c : digits.substr(0, count)) value = value * 10 + (c - '0');
    return value;
  };
  const std::size_t size = digits.size();
  if (size < 14) return false;
  const int two = prefix(2);
  const int three = prefix(3);
  const int four = prefix(4);
  const bool visa = size == 16 && digits[0] == '4';
  const bool mastercard = size == 16 && ((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720));
  const bool amex = size == 15 && (two == 34 || two == 37);
  const bool discover = size == 16 && (four == 6011 || (three >= 644 && three <= 649) || two == 65);
  const bool jcb = size == 16 && four >= 3528 && four <= 3589;
  const bool diners = size == 14 && ((three >= 300 && three <= 305) || two == 36 || two == 38 || two == 39);
  const bool unionpay = size == 16 && two == 62;
  if (!(visa || mastercard || amex || discover || jcb || diners || unionpay)) return false;
  int sum = 0;  // Luhn, ISO/IEC 7812-1 annex B
  for (std::size_t i = 0; i < size; ++i) {
    int digit = digits[size - 1 - i] - '0';
    if (i % 2 == 1) digit = digit > 4 ? digit * 2 - 9 : digit * 2;
    sum += digit;
  }
  return sum % 10 == 0 && std::ranges::any_of(digits, [&](char c) { return c != digits[1]; });
}

bool is_iban(std::string_view compact) {
  const auto country = std::ranges::find(countries, compact.substr(0, 2), &Country::code);
  if (country == std::end(countries) || compact.size() != country->size) return false;
  unsigned rest = 0;  // ISO 7064 mod 97-10
  for (std::size_t i = 0; i < compact.size(); ++i) {
    const char c = compact[(i + 4) % compact.size()];
    rest = is_digit(c) ? (rest * 10 + static_cast<unsigned>(c - '0')) % 97
                       : (rest * 100 + static_cast<unsigned>(c - 'A' + 10)) % 97;
  }
  return rest == 1;
}

std::string_view private_key_kind(std::string_view text) {
  if (text.size() == 111 && text.substr(1, 3) == "prv") {
    static constexpr std::string_view versions[] = {"\x04\x88\xad\xe4", "\x04\x35\x83\x94", "\x04\x9d\x78\x78",
                                                    "\x04\xb2\x43\x0c", "\x04\x4a\x4e\x28", "\x04\x5f\x18\xbc"};
    const auto payload = base58_check(text, 82);
    if (payload && std::ranges::find(versions, std::string_view(*payload).substr(0, 4)) != std::end(versions))
      return "extended-private-key";
  }
  if (text.size() == 51 || text.size() == 52) {
    const auto payload = base58_check(text, text.size() == 51 ? 37 : 38);
    const bool network = payload && ((*payload)[0] == '\x80' || (*payload)[0] == '\xef');
    if (network && (text.size() == 51 || payload->back() == '\x01')) return "wif-private-key";
  }
  return {};
}

int bip39_word(std::string_view lower_case) {
  const auto found = std::ranges::lower_bound(words, lower_case);
  return found != words.end() && *found == lower_case ? static_cast<int>(found - words.begin()) : -1;
}

std::optional<Finding> scan_financial(std::string_view text) {
  for (std::size_t at = 0; at < text.size(); at += step)
    if (const auto found = look_at(text, at, at % word_step == 0)) return describe(*found, 0);
  return std::nullopt;
}

std::optional<Finding> FinancialStream::process(std::string& released, End end) {
  const std::size_t judge_to = end == End::yes ? held_.size() : held_.size() - std::min(held_.size(), reach);
  // Sample points stand at the same places of the body however it is cut.
  for (; judged_ < judge_to; judged_ += step) {
    if (const auto found = look_at(held_, judged_, (base_ + judged_) % word_step == 0)) return describe(*found, base_);
  }
  // What lies over a sample point that is not judged yet begins at most this much before it.
  const std::size_t safe =
      end == End::yes ? held_.size() : std::max(released_, judged_ - std::min(judged_, word_step + step));
  const std::size_t to = std::min(safe, held_.size());
  released.append(held_, released_, to - released_);
  released_ = to;
  const std::size_t drop = released_ - std::min(released_, back);
  if (drop > 0) {
    held_.erase(0, drop);
    base_ += drop;
    judged_ -= drop;
    released_ -= drop;
  }
  return std::nullopt;
}

std::optional<Finding> FinancialStream::write(std::string_view bytes, std::string& released) {
  held_.append(bytes);
  return process(released, End::no);
}

std::optional<Finding> FinancialStream::finish(std::string& released) {
  return process(released, End::yes);
}

}  // namespace bot_bottle::dlp
