// Seed phrases, private keys, cards and IBANs: what has a right checksum is found, a near miss is not. Samples are the
// published test vectors (BIP-39 and BIP-32; ISO 13616 examples) or made here.
#include "sidecar/dlp/financial.hpp"

#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <random>
#include <vector>

#include "sidecar/dlp/octet_classes.hpp"

namespace bot_bottle::dlp {
namespace {

const std::string seed12 = "legal winner thank year wave sausage worth useful legal winner thank yellow";
const std::string seed24 =
    "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic avoid "
    "letter "
    "advice cage absurd amount doctor acoustic bless";
const std::string xprv =
    "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi";
const std::string wif = "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ";
const std::string wif_short = "KwdMAjGmerYanjeui5SHS7JkmpZvVipYvB2LJGU1ZxJwYvP98617";

/// A number of that beginning and length with a right check digit.
std::string card(std::string digits, std::size_t size) {
  while (digits.size() < size - 1) digits += static_cast<char>('0' + (digits.size() * 7 + 3) % 10);
  int sum = 0;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    int digit = digits[digits.size() - 1 - i] - '0';
    if (i % 2 == 0) digit = digit > 4 ? digit * 2 - 9 : digit * 2;
    sum += digit;
  }
  return digits + static_cast<char>('0' + (10 - sum % 10) % 10);
}
std::string broken(std::string digits) {
  digits.back() = static_cast<char>('0' + (digits.back() - '0' + 1) % 10);
  return digits;
}
std::string grouped(const std::string& digits, char separator) {
  return digits.substr(0, 4) + separator + digits.substr(4, 4) + separator + digits.substr(8, 4) + separator +
         digits.substr(12);
}

std::string rule_of(std::string_view text) {
  const auto finding = scan_financial(text);
  return finding ? finding->rule : "";
}
struct Streamed {
  std::string rule;
  std::string released;
};
Streamed stream(std::string_view text, std::size_t piece) {
  FinancialStream scanner;
  Streamed out;
  for (std::size_t at = 0; at < text.size(); at += piece)
    if (const auto finding = scanner.write(text.substr(at, piece), out.released)) return {finding->rule, out.released};
  if (const auto finding = scanner.finish(out.released)) out.rule = finding->rule;
  return out;
}

const std::vector<std::pair<std::string, std::string>>& secrets() {
  static const std::vector<std::pair<std::string, std::string>> all{
      {seed12, "bip39-seed-phrase"},
      {seed24, "bip39-seed-phrase"},
      {"LEGAL WINNER THANK YEAR WAVE SAUSAGE WORTH USEFUL LEGAL WINNER THANK YELLOW", "bip39-seed-phrase"},
      {R"(["legal","winner","thank","year","wave","sausage","worth","useful","legal","winner","thank","yellow"])",
       "bip39-seed-phrase"},
      {"1. legal\n2. winner\n3. thank\n4. year\n5. wave\n6. sausage\n7. worth\n8. useful\n9. legal\n10. winner\n11. "
       "thank\n12. yellow",
       "bip39-seed-phrase"},
      {xprv, "extended-private-key"},
      {wif, "wif-private-key"},
      {wif_short, "wif-private-key"},
      {card("45320", 16), "payment-card"},
      {grouped(card("5425", 16), ' '), "payment-card"},
      {grouped(card("6011", 16), '-'), "payment-card"},
      {card("3714", 15), "payment-card"},
      {card("3014", 14), "payment-card"},
      {"DE89370400440532013000", "iban"},
      {"GB29 NWBK 6016 1331 9268 19", "iban"},
      {"NO9386011117947", "iban"},
  };
  return all;
}

TEST(Financial, the_shortest_and_the_widest_phrase_lie_over_a_sample_point_wherever_they_stand) {
  constexpr auto shortest = std::to_array<std::string_view>(
      {"act", "box", "cat", "dry", "egg", "fun", "hen", "ice", "joy", "kid", "mix", "oak", "pig", "rug", "sea", "zoo"});
  constexpr auto longest = std::to_array<std::string_view>(
      {"abstract", "business", "category", "daughter", "elephant", "festival", "hospital", "innocent"});
  std::mt19937 random(7);
  const auto phrase_of = [&](const auto& list, const std::string& separator) {
    std::string phrase;
    // One of sixteen has the right checksum; at the begin of a text each lies over a sample point.
    do {
      phrase.clear();
      for (int i = 0; i < 12; ++i) phrase += (i == 0 ? "" : separator) + std::string(list.at(random() % list.size()));
    } while (rule_of(phrase).empty());
    return phrase;
  };
  for (const std::string& phrase :
       {phrase_of(shortest, " "), phrase_of(longest, "\", \n  \""), phrase_of(shortest, ", .-. .,")}) {
    for (std::size_t offset = 0; offset < 150; ++offset) {
      EXPECT_EQ(rule_of(std::string(offset, '.') + phrase + " ..."), "bip39-seed-phrase") << offset << ": " << phrase;
      EXPECT_EQ(rule_of(std::string(offset, '.') + phrase), "bip39-seed-phrase") << offset << ": " << phrase;
      EXPECT_EQ(stream(std::string(offset, '.') + phrase + std::string(1000, '.'), 200).rule, "bip39-seed-phrase")
          << offset;
    }
  }
}

TEST(Financial, each_kind_is_found_wherever_it_stands_and_however_it_is_cut) {
  for (const auto& [secret, rule] : secrets()) {
    for (std::size_t shift = 0; shift < 40; ++shift) {
      const std::string before = std::string(shift, '#') + " ";
      EXPECT_EQ(rule_of(before + secret), rule) << secret << " behind " << shift;
      EXPECT_EQ(rule_of(before + secret + ", and more of the text"), rule) << secret;
    }
    const std::string text = std::string(700, '.') + "\"" + secret + "\"" + std::string(700, '.');
    for (const std::size_t piece : {1U, 7U, 64U, 5000U}) {
      const Streamed out = stream(text, piece);
      EXPECT_EQ(out.rule, rule) << secret << " in pieces of " << piece;
      EXPECT_TRUE(text.starts_with(out.released));
      EXPECT_LE(out.released.size(), 701U) << "no octet of it is released: " << secret;
    }
  }
}

TEST(Financial, near_misses_pass) {
  std::string list;
  for (const char* word : {"abandon", "ability", "able", "about", "above", "absent", "absorb", "abstract", "absurd",
                           "abuse", "access", "accident", "account", "accuse"})
    list += std::string(word) + "\n";
  const std::string misses[] = {
      "legal winner thank year wave sausage worth useful legal winner thank thank",
      "legal winner thank year wave sausage worth useful legal winner thank",
      "legal winner thank year wave sausage worth useful legal winner thank of yellow",
      list,
      "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHj",
      "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTK",
      "x" + wif,
      broken(card("45320", 16)),
      card("1532", 16),
      "7" + card("45320", 16),
      card("45320", 16) + "7",
      "0." + card("45320", 16),
      "id_" + card("45320", 16),
      "4242424242424242",
      "4532 01 5112830366",
      "DE88370400440532013000",
      "DE8937040044053201300",
      "XX89370400440532013000",
      "1699999999999 1700000000000 20240101120000",
      "commit 4532015112830366abcdef0123456789abcdef01",
  };
  for (const std::string& text : misses) {
    for (std::size_t shift = 0; shift < 13; ++shift)
      EXPECT_EQ(rule_of(std::string(shift, '#') + " " + text), "") << text;
    EXPECT_EQ(stream(text, 5).released, text);
  }
}

TEST(Financial, the_checks_are_the_published_ones) {
  EXPECT_EQ(bip39_word("abandon"), 0);
  EXPECT_EQ(bip39_word("zoo"), 2047);
  EXPECT_EQ(bip39_word("bitcoin"), -1);
  EXPECT_TRUE(is_iban("SA0380000000608010167519"));
  EXPECT_EQ(private_key_kind(xprv), "extended-private-key");
  EXPECT_TRUE(is_payment_card(card("2221", 16)));
  EXPECT_FALSE(is_payment_card(card("2220", 16)));
}

/// Every place of a text, read octet by octet.
namespace naive {

bool is_word(char c) {
  return c == '_' || std::isalnum(static_cast<unsigned char>(c)) != 0;
}
char at(std::string_view text, std::size_t i) {
  return i < text.size() ? text[i] : '\0';
}
bool card_at(std::string_view text, std::size_t begin) {
  if (begin > 0 && (is_word(text[begin - 1]) || text[begin - 1] == '.')) return false;
  const std::vector<std::vector<std::size_t>> shapes{{14}, {15}, {16}, {4, 4, 4, 4}, {4, 6, 5}, {4, 6, 4}};
  for (const char separator : {' ', '-'}) {
    for (const auto& shape : shapes) {
      std::string digits;
      std::size_t i = begin;
      bool fits = true;
      for (std::size_t group = 0; group < shape.size(); ++group) {
        if (group > 0) fits = fits && at(text, i++) == separator;
        for (std::size_t k = 0; k < shape[group]; ++k, ++i) {
          fits = fits && std::isdigit(static_cast<unsigned char>(at(text, i))) != 0;
          digits += at(text, i);
        }
      }
      const bool ends =
          !is_word(at(text, i)) && !(at(text, i) == '.' && std::isdigit(static_cast<unsigned char>(at(text, i + 1))));
      if (fits && ends && is_payment_card(digits)) return true;
    }
  }
  return false;
}
bool iban_at(std::string_view text, std::size_t begin) {
  if (begin > 0 && is_word(text[begin - 1])) return false;
  std::string compact;
  for (std::size_t i = begin; i < text.size() && compact.size() < 34; ++i) {
    const char c = text[i];
    const bool part = std::isdigit(static_cast<unsigned char>(c)) != 0 || std::isupper(static_cast<unsigned char>(c));
    if (c == ' ' && i > begin && text[i - 1] != ' ') continue;
    if (!part) break;
    compact += c;
    if (is_iban(compact) && !is_word(at(text, i + 1))) return true;
  }
  return false;
}
bool key_at(std::string_view text, std::size_t begin) {
  if (begin > 0 && is_word(text[begin - 1])) return false;
  std::size_t end = begin;
  while (end < text.size() && is_word(text[end])) ++end;
  const std::string_view run = text.substr(begin, end - begin);
  return run.find_first_of("0OIl_") == std::string_view::npos && !private_key_kind(run).empty();
}
bool phrase_at(std::string_view text, std::size_t begin) {
  const auto is_letter = [&](std::size_t i) { return std::isalpha(static_cast<unsigned char>(at(text, i))) != 0; };
  if (!is_letter(begin) || (begin > 0 && is_letter(begin - 1))) return false;
  std::string bits;
  std::vector<int> values;
  for (std::size_t i = begin; values.size() < 24;) {
    std::string word;
    for (; is_letter(i); ++i) word += static_cast<char>(std::tolower(static_cast<unsigned char>(text[i])));
    const int value = bip39_word(word);
    if (value < 0) return false;
    values.push_back(value);
    for (int bit = 10; bit >= 0; --bit) bits += ((value >> bit) & 1) != 0 ? '1' : '0';
    if (values.size() >= 12 && values.size() % 3 == 0 && !std::is_sorted(values.begin(), values.end())) {
      std::string octets;
      for (std::size_t k = 0; k + 8 <= values.size() * 32 / 3; k += 8)
        octets += static_cast<char>(std::stoi(bits.substr(k, 8), nullptr, 2));
      unsigned char digest[32];
      SHA256(reinterpret_cast<const unsigned char*>(octets.data()), octets.size(), digest);
      std::string sum;
      for (int bit = 7; bit >= 0; --bit) sum += ((digest[0] >> bit) & 1) != 0 ? '1' : '0';
      if (bits.substr(octets.size() * 8) == sum.substr(0, values.size() / 3)) return true;
    }
    const std::size_t separator = i;
    while (i < text.size() && !is_letter(i)) ++i;
    if (i == text.size() || i - separator > 8) return false;
  }
  return false;
}
bool found_in(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i)
    if (card_at(text, i) || iban_at(text, i) || key_at(text, i) || phrase_at(text, i)) return true;
  return false;
}

}  // namespace naive

TEST(Financial, shortcuts_find_what_the_naive_scanner_finds) {
  std::mt19937 random(23);
  const char* words[] = {"legal", "winner", "zoo", "act", "the", "of", "Yellow", "wave", "abstract", "information"};
  const char* between[] = {" ", "-", "  ", ".", ", ", "\n", "_", "x", "0", "\":\"", "         ", "12", "A"};
  int found = 0;
  for (int round = 0; round < 6000; ++round) {
    std::string text(random() % 70, random() % 2 == 0 ? '#' : 'w');
    if (round % 50 == 0) text += std::string(4000 + random() % 200, '.');  // over the border of a survey
    for (std::size_t parts = random() % 6; parts > 0; --parts) {
      std::string part;
      const auto& secret = secrets()[random() % secrets().size()].first;
      switch (random() % 6) {
        case 0:
          part = secret;
          break;
        case 1:
          part = secret.substr(random() % 3, secret.size() - random() % 3);
          break;
        case 2:
          part = secret;
          part[random() % part.size()] = "0 zQ1-"[random() % 6];
          break;
        case 3:
          for (std::size_t i = random() % 20; i > 0; --i) part += std::to_string(random() % 10000);
          break;
        case 4:
          for (std::size_t i = random() % 20; i > 0; --i) part += std::string(words[random() % 10]) + " ";
          break;
        default:
          part = std::string(random() % 130, "aB7_ "[random() % 5]);
          break;
      }
      text += part + between[random() % std::size(between)];
    }
    const bool expected = naive::found_in(text);
    found += expected ? 1 : 0;
    ASSERT_EQ(!rule_of(text).empty(), expected) << text;
    const Streamed streamed = stream(text, 1 + random() % 300);
    ASSERT_EQ(!streamed.rule.empty(), expected) << text;
    if (!expected) {
      ASSERT_EQ(streamed.released, text);
    }
  }
  EXPECT_GT(found, 1000);
  EXPECT_LT(found, 5000);
}

TEST(Financial, each_way_to_classify_octets_gives_the_plain_one) {
  std::mt19937 random(29);
  for (int round = 0; round < 500; ++round) {
    std::string text(random() % 700, ' ');
    for (char& c : text) c = round % 2 == 0 ? static_cast<char>(random() % 256) : "aZ09_- @[`{/:"[random() % 13];
    std::array<OctetClasses, 12> expected{};
    const std::size_t count = classify_octets_plainly(text, expected);
    for (const ClassifyOctets classify : class_ways()) {
      std::array<OctetClasses, 12> got{};
      ASSERT_EQ(classify(text, got), count);
      for (std::size_t i = 0; i < count; ++i) {
        ASSERT_EQ(got.at(i).digits, expected.at(i).digits) << text;
        ASSERT_EQ(got.at(i).letters, expected.at(i).letters) << text;
        ASSERT_EQ(got.at(i).upper, expected.at(i).upper) << text;
        ASSERT_EQ(got.at(i).joints, expected.at(i).joints) << text;
        ASSERT_EQ(got.at(i).underscores, expected.at(i).underscores) << text;
      }
    }
  }
}

TEST(Financial, hostile_text_is_read_in_linear_time) {
  for (const std::string& unit :
       {std::string("legal winner thank year "), std::string("4532 0151 "), std::string("DE89 3704 "),
        std::string("5HueCGU8rMjxEXxiPuD5BDku4"), std::string("1")}) {
    std::string text;
    while (text.size() < (1U << 20U)) text += unit;
    const auto begin = std::chrono::steady_clock::now();
    (void)stream(text, 4096);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20)) << unit;
  }
}

}  // namespace
}  // namespace bot_bottle::dlp
