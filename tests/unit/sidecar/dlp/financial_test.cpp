// Seed phrases, private keys, cards and IBANs: what has a right checksum is found, a near miss is not. Samples are the
// published test vectors (BIP-39 and BIP-32; ISO 13616 examples) or made here.
#include "sidecar/dlp/financial.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <vector>

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
