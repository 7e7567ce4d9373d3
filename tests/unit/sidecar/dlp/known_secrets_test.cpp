// Known secrets in all their spellings, found in streams and replaced in responses.
#include <random>
#include <set>

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

TEST(KnownSecrets, a_canary_is_named_as_one_in_every_disguise_and_before_the_rule_that_knows_its_shape) {
  const std::string token = "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";
  const KnownSecret known_canary{"netrc", token, KnownSecret::Kind::canary};
  const auto secrets = or_throw(KnownSecrets::create({&known_canary, 1}));
  const Detectors both;
  // Without it, the rule's name would hide what was found.
  ASSERT_EQ(scan(*shipped_rules(), *known({}), both, "x " + token + " y")->rule, "github-pat");
  const std::string other = or_throw(expand_sample("ghp_{{36:alnum}}", 7));
  for (const auto& [name, spelling] : naive::spellings(token, static_cast<unsigned>(token.size()))) {
    const std::string text = "{\"a\": \"" + other + "\", \"b\": \"" + spelling + "\"}";
    const auto whole = scan(*shipped_rules(), *secrets, both, text);
    ASSERT_TRUE(whole) << name;
    EXPECT_EQ(whole->rule, "canary:netrc") << name;
    EXPECT_TRUE(whole->is_canary());
    EXPECT_EQ(whole->snippet.find(token.substr(4)), std::string::npos) << whole->snippet;
    const Streamed streamed = stream_cut(shipped_rules(), secrets, text, {}, both);
    ASSERT_TRUE(streamed.finding) << name;
    EXPECT_EQ(streamed.finding->rule, "canary:netrc") << name;
  }
  EXPECT_FALSE(scan(*shipped_rules(), *secrets, both, other)->is_canary());
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

TEST(KnownSecrets, the_gram_index_finds_and_holds_what_a_plain_search_does) {
  std::mt19937 random(10);
  const auto text_of = [&](std::size_t size, unsigned letters) {
    std::string text;
    while (size-- > 0) text += static_cast<char>('a' + random() % letters);
    return text;
  };
  for (int round = 0; round < 400; ++round) {
    const unsigned letters = 2 + static_cast<unsigned>(random() % 3);
    std::vector<std::string> patterns;
    const std::size_t shortest = 4 + random() % 24;
    for (int count = 0; count < 6; ++count) patterns.push_back(text_of(shortest + random() % 30, letters));
    const std::vector<std::string_view> views(patterns.begin(), patterns.end());
    GramIndex index;
    index.build(views);
    std::string text = text_of(200 + random() % 300, letters);
    text += patterns[random() % 6];  // at each distance from the borders of what the index looks at
    text += patterns[random() % 6].substr(0, 1 + random() % shortest);
    std::multiset<std::pair<std::size_t, std::uint32_t>> expected;
    std::size_t open = 0;
    for (std::uint32_t i = 0; i < patterns.size(); ++i) {
      for (std::size_t at = 0; (at = text.find(patterns[i], at)) != std::string::npos; ++at) expected.emplace(at, i);
      for (std::size_t size = open + 1; size < patterns[i].size(); ++size)
        if (text.ends_with(std::string_view(patterns[i]).substr(0, size))) open = size;
    }
    std::multiset<std::pair<std::size_t, std::uint32_t>> got;
    index.find(text, [&](std::size_t at, std::uint32_t pattern) {
      got.emplace(at, pattern);
      return true;
    });
    ASSERT_EQ(got, expected);
    ASSERT_EQ(index.open_suffix(text), open);
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

TEST(Scrubber, of_an_event_only_what_could_begin_a_secret_waits) {
  const std::string secret = secret_of(40);
  const auto secrets = known({{"TOKEN", secret}});
  for (std::size_t size = 1; size < secret.size(); ++size) {
    Scrubber scrubber(secrets);
    std::string out;
    const std::string before = "data: {\"delta\": \"this is so! ";
    scrubber.write(before + secret.substr(0, size), out, Scrubber::Flush::now);
    EXPECT_EQ(out, before) << size;
    scrubber.write("#?", out, Scrubber::Flush::now);
    scrubber.write("\n\n", out, Scrubber::Flush::now);
    EXPECT_EQ(out, before + secret.substr(0, size) + "#?\n\n") << size;
  }
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
