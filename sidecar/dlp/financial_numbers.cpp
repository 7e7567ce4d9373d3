// Cards, IBANs and private keys: their checksums, and what they look like in a text.
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "sidecar/dlp/financial_parts.hpp"

namespace bot_bottle::dlp {
namespace {

constexpr std::size_t word_run_octets = 4096;

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

}  // namespace

std::optional<Range> card_from(std::string_view text, std::size_t begin) {
  if (begin > 0 && (is_word_character(text[begin - 1]) || text[begin - 1] == '.')) return std::nullopt;
  std::array<char, 16> digits{};
  std::size_t count = 0;
  std::array<std::size_t, 4> groups{};
  std::size_t group = 0;
  char separator = 0;
  for (std::size_t at = begin; at < text.size(); ++at) {
    const char c = text[at];
    if (is_digit(c)) {
      if (count == digits.size()) break;
      digits.at(count++) = c;
      ++groups.at(group);
    } else if ((c == ' ' || c == '-') && groups.at(group) > 0 && (separator == 0 || separator == c) &&
               group + 1 < groups.size()) {
      separator = c;
      ++group;
    } else {
      break;
    }
    const std::size_t next = at + 1;
    const bool ends =
        groups.at(group) > 0 &&
        (next >= text.size() ||
         !(is_word_character(text[next]) || (text[next] == '.' && next + 1 < text.size() && is_digit(text[next + 1]))));
    if (!ends || count < 14 || !is_payment_card({digits.data(), count})) continue;
    using Groups = std::array<std::size_t, 4>;
    if (group == 0 || groups == Groups{4, 4, 4, 4} || groups == Groups{4, 6, 5, 0} || groups == Groups{4, 6, 4, 0})
      return Range{begin, next, "payment-card"};
  }
  return std::nullopt;
}

std::optional<Range> iban_from(std::string_view text, std::size_t begin) {
  if (begin > 0 && is_word_character(text[begin - 1])) return std::nullopt;
  const auto country = std::ranges::find(countries, text.substr(begin, 2), &Country::code);
  if (country == std::end(countries)) return std::nullopt;
  std::string compact;
  std::size_t end = begin;
  while (end < text.size() && compact.size() < country->size) {
    const char c = text[end];
    if (!is_digit(c) && !is_upper(c) && c != ' ') break;
    if (c == ' ' && text[end - 1] == ' ') break;
    if (c != ' ') compact += c;
    ++end;
  }
  if (end < text.size() && is_word_character(text[end])) return std::nullopt;
  if (is_iban(compact)) return Range{begin, end, "iban"};
  return std::nullopt;
}
std::optional<Range> key_around(std::string_view text, std::size_t at, std::size_t& end) {
  std::size_t begin = at;
  while (begin > 0 && is_word_character(text[begin - 1]) && at - begin <= longest_key) --begin;
  end = at;
  while (end < text.size() && is_word_character(text[end]) && end - begin <= longest_key) ++end;
  if (end - begin > longest_key) {  // what is longer is passed over as a whole, so that a long run costs no more
    while (end < text.size() && is_word_character(text[end]) && end - at < word_run_octets) ++end;
    return std::nullopt;
  }
  const std::string_view run = text.substr(begin, end - begin);
  if (std::ranges::any_of(run, [](char c) { return base58_value(c) < 0; })) return std::nullopt;
  const std::string_view kind = private_key_kind(run);
  if (kind.empty()) return std::nullopt;
  return Range{begin, end, kind};
}
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

}  // namespace bot_bottle::dlp
