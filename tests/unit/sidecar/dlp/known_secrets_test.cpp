// Known secrets in all their spellings, found in streams and replaced in responses.
#include <random>

#include "tests/unit/sidecar/dlp/naive.hpp"
#include "tests/unit/sidecar/dlp/support.hpp"

namespace bot_bottle::dlp {
namespace {

constexpr Detectors only_known{.token_patterns = false, .known_secrets = true};

std::string secret_of(std::size_t size, std::uint64_t seed = 1) {
  return or_throw(expand_sample("{{" + std::to_string(size) + ":base64}}", seed));
}
const std::vector<std::string>& secret_values() {
  static const std::vector<std::string> values{secret_of(8),  secret_of(9),  secret_of(10), "p\xc3\xa4ss w\"rd&1",
                                               secret_of(40), secret_of(64), secret_of(65), secret_of(130)};
  return values;
}

TEST(KnownSecrets, J_every_spelling_is_found_however_it_is_cut_and_nothing_of_it_is_released) {
  for (const std::string& secret : secret_values()) {
    const auto secrets = known({{"TOKEN", secret}});
    for (const auto& [name, spelling] : naive::spellings(secret, static_cast<unsigned>(secret.size()))) {
      const std::string text = "{\"a\": \"100%\", \"b\": \"" + spelling + "\", \"c\": 1}";
      const std::size_t begin = text.find(spelling);
      const auto whole = scan(*shipped_rules(), *secrets, only_known, text);
      ASSERT_TRUE(whole) << name << ": " << text;
      EXPECT_EQ(whole->rule, "known-secret:TOKEN");
      // All of a text as "%41%42" is hex with signs between as well.
      if (name.starts_with("percent")) {
        EXPECT_THAT(whole->encoding, testing::AnyOf(name, "plain", "hex", "hex+base64"));
      } else {
        EXPECT_EQ(whole->encoding, name) << text;
      }
      for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        const Streamed streamed = stream_cut(shipped_rules(), secrets, text, {cut}, only_known);
        ASSERT_TRUE(streamed.finding) << name << " at " << cut << ": " << text;
        ASSERT_LE(streamed.released.size(), begin) << name << " at " << cut << ": " << text;
        ASSERT_TRUE(text.starts_with(streamed.released));
      }
      const Streamed streamed = stream_octets(shipped_rules(), secrets, text, only_known);
      ASSERT_TRUE(streamed.finding) << name << ": " << text;
      ASSERT_LE(streamed.released.size(), begin);
    }
  }
}

TEST(KnownSecrets, a_long_secret_is_found_by_a_part_of_it) {
  const std::string secret = secret_of(3000);
  const auto secrets = known({{"KEY", secret}});
  for (std::size_t begin = 0; begin + 128 <= secret.size(); begin += 37) {
    EXPECT_TRUE(scan(*shipped_rules(), *secrets, only_known, "x" + secret.substr(begin, 128) + "y")) << begin;
    EXPECT_TRUE(scan(*shipped_rules(), *secrets, only_known, naive::base64("x" + secret.substr(begin, 128) + "y")))
        << begin;
  }
  EXPECT_FALSE(scan(*shipped_rules(), *secrets, only_known, secret_of(3000, 2)));
}

TEST(KnownSecrets, several_secrets_are_told_apart_and_other_text_passes) {
  const auto secrets = known({{"A", secret_of(20, 1)}, {"B", secret_of(30, 2)}, {"C", secret_of(40, 3) + "\n"}});
  EXPECT_EQ(scan(*shipped_rules(), *secrets, only_known, "x " + secret_of(30, 2))->rule, "known-secret:B");
  EXPECT_EQ(scan(*shipped_rules(), *secrets, only_known, "x " + secret_of(40, 3))->rule, "known-secret:C")
      << "the line end of a file does not count";
  EXPECT_FALSE(scan(*shipped_rules(), *secrets, only_known, secret_of(30, 2).substr(1)));
  EXPECT_FALSE(scan(*shipped_rules(), *secrets, only_known, ""));
  EXPECT_FALSE(scan(*shipped_rules(), *secrets, {.token_patterns = false, .known_secrets = false}, secret_of(30, 2)));
}

TEST(KnownSecrets, a_short_secret_is_refused_without_telling_it) {
  const std::vector<KnownSecret> secrets{{"PIN", "hunt3r2"}};
  const auto result = KnownSecrets::create(secrets);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, testing::HasSubstr("'PIN'"));
  EXPECT_EQ(result.error().message.find("hunt3r2"), std::string::npos);
  const std::vector<KnownSecret> padded{{"PIN", "   hunt3r2\n\n"}};
  EXPECT_FALSE(KnownSecrets::create(padded));
}

TEST(KnownSecrets, the_index_agrees_with_a_plain_search) {
  std::mt19937 random(9);
  for (int round = 0; round < 300; ++round) {
    const auto text_of = [&](std::size_t size) {
      std::string text;
      while (size-- > 0) text += static_cast<char>('a' + random() % 2);  // two letters: many near misses
      return text;
    };
    const std::string one = text_of(8 + random() % 12);
    const std::string two = text_of(8 + random() % 12);
    const auto secrets = known({{"A", one}, {"B", two}});
    const std::string text = text_of(600);
    bool expected = false;
    for (const std::string& secret : {one, two})
      expected = expected || text.find(secret) != std::string::npos ||
                 text.find(std::string(secret.rbegin(), secret.rend())) != std::string::npos;
    EXPECT_EQ(scan(*shipped_rules(), *secrets, only_known, text).has_value(), expected)
        << one << ' ' << two << ' ' << text;
    EXPECT_EQ(stream_octets(shipped_rules(), secrets, text, only_known).finding.has_value(), expected);
  }
}

std::string scrub(const std::shared_ptr<const KnownSecrets>& secrets, std::string_view text,
                  std::vector<std::size_t> cuts, std::size_t* count = nullptr) {
  Scrubber scrubber(secrets);
  std::string out;
  std::size_t at = 0;
  std::size_t replaced = 0;
  for (const std::size_t cut : cuts) {
    replaced += scrubber.write(text.substr(at, cut - at), out);
    at = cut;
  }
  replaced += scrubber.write(text.substr(at), out, Scrubber::Flush::now);
  replaced += scrubber.finish(out);
  if (count != nullptr) *count = replaced;
  return out;
}

TEST(Scrubber, E5_an_echoed_secret_is_replaced_however_the_response_is_cut) {
  for (const std::string& secret : secret_values()) {
    const auto secrets = known({{"TOKEN", secret}});
    for (const auto& [name, spelling] : naive::spellings(secret, 7)) {
      const std::string text = "before % " + spelling + " after 50% " + spelling;
      std::size_t count = 0;
      const std::string whole = scrub(secrets, text, {}, &count);
      EXPECT_EQ(count, 2U) << name << ": " << text << " → " << whole;
      EXPECT_FALSE(scan(*shipped_rules(), *secrets, only_known, whole)) << name << ": " << whole;
      EXPECT_TRUE(whole.starts_with("before % ")) << whole;
      EXPECT_THAT(whole, testing::HasSubstr(" after 50% ")) << name;
      if (name == "plain" || name == "hex" || name == "percent") {
        EXPECT_EQ(whole, "before % ******** after 50% ********");
      }
      std::vector<std::size_t> each;
      for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        ASSERT_EQ(scrub(secrets, text, {cut}), whole) << name << " at " << cut << ": " << text;
        each.push_back(cut);
      }
      ASSERT_EQ(scrub(secrets, text, each), whole) << name << ": " << text;
    }
  }
}

TEST(Scrubber, a_response_without_secrets_is_never_held_back) {
  const auto secrets = known({{"TOKEN", secret_of(40)}});
  Scrubber scrubber(secrets);
  std::string out;
  EXPECT_EQ(scrubber.write("data: {\"delta\": \"hello\"}\n\n", out, Scrubber::Flush::now), 0U);
  EXPECT_EQ(out, "data: {\"delta\": \"hello\"}\n\n");
}

TEST(Scrubber, secrets_that_lie_inside_each_other_or_overlap_are_all_gone) {
  const std::string outer = "abcdefgh12345678";
  const auto secrets = known({{"A", outer}, {"B", outer.substr(4, 8)}, {"C", outer.substr(8) + "ZZZZZZZZ"}});
  const std::string text = "<" + outer + "ZZZZZZZZ>" + outer.substr(4, 8) + "|" + outer.substr(0, 12);
  for (std::size_t one = 0; one <= text.size(); ++one)
    for (std::size_t two = one; two <= text.size(); ++two)
      EXPECT_EQ(scrub(secrets, text, {one, two}), "<********>********|abcd********") << one << ' ' << two;
}

}  // namespace
}  // namespace bot_bottle::dlp
