// The stream as such: whole bodies, many cuts, both detectors, escapes; against the whole-buffer scan and the naive
// one.
#include <random>

#include "tests/unit/sidecar/dlp/naive.hpp"
#include "tests/unit/sidecar/dlp/support.hpp"

namespace bot_bottle::dlp {
namespace {

std::string token(std::uint64_t seed) {
  return or_throw(expand_sample("ghp_{{36:alnum}}", seed));
}

const std::shared_ptr<const KnownSecrets>& secrets() {
  static const std::shared_ptr<const KnownSecrets> one =
      known({{"TOKEN", or_throw(expand_sample("{{32:alnum}}", 77))}});
  return one;
}

TEST(DlpStream, a_clean_body_comes_out_as_it_went_in) {
  std::string body;
  std::mt19937 random(2);
  while (body.size() < 300'000)
    body += random() % 20 == 0 ? "100% of %20 words %zz\n" : "some plain words and numbers 12345, ";
  for (const std::size_t size : {1U, 7U, 100U, 4096U, 65536U}) {
    std::vector<std::size_t> cuts;
    if (size == 1) body.resize(20'000);
    for (std::size_t at = size; at < body.size(); at += size) cuts.push_back(at);
    const Streamed streamed = stream_cut(shipped_rules(), secrets(), body, cuts);
    EXPECT_FALSE(streamed.finding);
    EXPECT_EQ(streamed.released, body);
    if (size == 1) body.resize(300'000, 'x');
  }
}

TEST(DlpStream, holds_back_no_more_than_its_window) {
  Stream stream(shipped_rules(), secrets(), {});
  std::string released;
  const std::string block(100'000, 'a');
  ASSERT_FALSE(stream.write(block, released));
  EXPECT_GE(released.size() + 4096, block.size());
  std::string escapes;
  while (escapes.size() < 100'000) escapes += "%61%62";
  ASSERT_FALSE(stream.write(escapes, released));
  EXPECT_GE(released.size() + 4096, block.size() + escapes.size());
}

/// The names of a message are held until no secret can be scattered over them, and with them nearly all of it.
TEST(DlpStream, what_is_held_at_the_end_is_not_looked_at_once_more) {
  std::string body = "[";
  while (body.size() < 60'000)
    body += R"({"role":"user","content":")" + std::string(2'000, 'x') + R"(\n and \"more\""},)";
  Stream stream(shipped_rules(), secrets(), {});
  std::string released;
  ASSERT_FALSE(stream.write(body, released));
  ASSERT_LT(released.size(), body.size() / 2);
  const std::uint64_t before = stream.work();
  ASSERT_FALSE(stream.finish(released));
  EXPECT_EQ(released, body);
  EXPECT_LT(stream.work() - before, 10'000U);
}

TEST(DlpStream, what_ends_with_the_body_is_judged_at_its_end) {
  const std::string secret = token(5);
  for (const std::string& shown : {"%67" + secret.substr(1), R"(\u0067)" + secret.substr(1), R"(\n)" + secret}) {
    for (const std::size_t before : {0U, 3U, 500U, 5'000U}) {
      const std::string body = std::string(before, '.') + " " + shown;
      EXPECT_TRUE(stream_cut(shipped_rules(), secrets(), body, {}).finding) << shown << " behind " << before;
      EXPECT_TRUE(stream_cut(shipped_rules(), secrets(), body, {body.size() - 1}).finding) << shown;
    }
  }
}

TEST(DlpStream, nothing_is_released_after_a_finding) {
  Stream stream(shipped_rules(), secrets(), {});
  std::string released;
  ASSERT_TRUE(stream.write("x " + token(1) + " y", released));
  const std::string before = released;
  EXPECT_TRUE(stream.write(std::string(10'000, 'z'), released));
  EXPECT_TRUE(stream.finish(released));
  EXPECT_EQ(released, before);
}

TEST(DlpStream, a_secret_deep_in_a_body_is_found_at_its_offset) {
  const std::string filler(70'001, '.');
  const std::string text = filler + " key=" + token(3) + " and " + filler;
  const Streamed streamed = stream_cut(shipped_rules(), secrets(), text, {64'000, 70'020});
  ASSERT_TRUE(streamed.finding);
  EXPECT_EQ(streamed.finding->rule, "github-pat");
  EXPECT_EQ(streamed.finding->offset, filler.size() + 5);
  EXPECT_EQ(streamed.finding->encoding, "plain");
  EXPECT_THAT(streamed.finding->snippet, testing::HasSubstr(" key=********"));
}

TEST(DlpStream, escapes_far_apart_and_near_a_secret_do_not_blind_the_scanner) {
  for (const std::size_t gap : {0U, 1U, 10U, 100U, 200U, 300U, 400U, 500U, 700U, 1000U, 5000U}) {
    std::string text = "%41" + std::string(gap, '.') + " %67hp_" + token(4).substr(4) + std::string(gap, '.') + "%42";
    const std::size_t begin = text.find("%67");
    for (const std::size_t step : {1U, 2U, 3U, 64U, 100'000U}) {
      std::vector<std::size_t> cuts;
      for (std::size_t at = step; at < text.size(); at += step) cuts.push_back(at);
      const Streamed streamed = stream_cut(shipped_rules(), secrets(), text, cuts);
      ASSERT_TRUE(streamed.finding) << gap << ' ' << step;
      EXPECT_EQ(streamed.finding->encoding, "percent");
      EXPECT_EQ(streamed.finding->offset, begin);
      EXPECT_LE(streamed.released.size(), begin);
    }
  }
}

TEST(DlpStream, what_stands_before_an_escape_is_judged_with_its_real_surroundings) {
  // The decoded view opens in the middle of a word: its edge must not count as the edge of that word.
  const std::string clean = "x" + or_throw(expand_sample("sk-{{32:hex}}", 5)) + std::string(1, '.');
  for (std::size_t gap = 0; gap < 700; ++gap) {
    const std::string text = std::string(40, 'a') + clean + std::string(gap, '.') + "%41 end";
    const Streamed streamed = stream_cut(shipped_rules(), secrets(), text, {});
    ASSERT_FALSE(streamed.finding) << gap << streamed.finding->rule;
  }
}

/// Random texts of tokens, halves of tokens, escapes and noise: any cut gives the verdict of the whole, which is the
/// naive one's.
TEST(DlpStream, any_cut_gives_the_verdict_of_the_whole_text) {
  std::mt19937 random(13);
  const std::string secret = or_throw(expand_sample("{{32:alnum}}", 77));
  RuleText github;
  github.regex = R"(\bghp_[A-Za-z0-9]{36})";
  const naive::Rule oracle(github);
  int found = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (std::size_t parts = random() % 12; parts > 0; --parts) {
      switch (random() % 9) {
        case 0:
          text += token(random()).substr(0, random() % 41);
          break;
        case 1:
          text += secret.substr(random() % 3 == 0 ? random() % 32 : 0, random() % 33);
          break;
        case 2:
          text += "%" + hex_encode(std::string(1, static_cast<char>(random() % 256)));
          break;
        case 3:
          text += "%";
          break;
        case 4:
          text += std::string(random() % 300, '.');
          break;
        case 5:
          text += naive::base64(secret).substr(random() % 2);
          break;
        case 6:
          text += "\n";
          break;
        case 7:
          for (const char c : token(random()))
            text += random() % 2 == 0 ? std::string(1, c) : "%" + hex_encode(std::string_view(&c, 1));
          break;
        default:
          text += static_cast<char>(random() % 256);
          break;
      }
    }
    bool expected = oracle.found_in(text) || oracle.found_in(naive::decode(text));
    for (const auto& [name, spelling] : naive::spellings(secret, 1))
      expected = expected || (name != "base64" && (text.find(spelling) != std::string::npos ||
                                                   naive::decode(text).find(spelling) != std::string::npos));
    for (std::size_t a = 0; a < 3; ++a) {
      const std::string needle = naive::base64(std::string(a, 'a') + secret).substr((a * 8 + 5) / 6, 42);
      expected =
          expected || text.find(needle) != std::string::npos || naive::decode(text).find(needle) != std::string::npos;
    }
    const auto whole = scan(*shipped_rules(), *secrets(), {}, text);
    if (expected) {
      ASSERT_TRUE(whole) << text;
    }
    found += expected ? 1 : 0;
    for (int cuts = 0; cuts < 4; ++cuts) {
      std::vector<std::size_t> at;
      for (std::size_t i = random() % 6; i > 0; --i) at.push_back(random() % (text.size() + 1));
      std::sort(at.begin(), at.end());
      const Streamed streamed = cuts == 0 ? stream_octets(shipped_rules(), secrets(), text)
                                          : stream_cut(shipped_rules(), secrets(), text, at);
      ASSERT_EQ(streamed.finding.has_value(), whole.has_value()) << text;
      ASSERT_TRUE(text.starts_with(streamed.released));
      if (whole) {
        EXPECT_LE(streamed.released.size(), streamed.finding->offset);
      } else {
        EXPECT_EQ(streamed.released, text);
      }
    }
  }
  EXPECT_GT(found, 500);
}

TEST(Redact, replaces_rules_and_known_secrets_in_every_view) {
  const std::string secret = or_throw(expand_sample("{{32:alnum}}", 77));
  const std::string text =
      "a " + token(1) + " b " + secret + " c " + naive::hex(secret, ":", true) + " d %67" + token(2).substr(1) + " e";
  EXPECT_EQ(redact(*shipped_rules(), *secrets(), text), "a ******** b ******** c ******** d ******** e");
  EXPECT_EQ(redact(*shipped_rules(), *secrets(), "nothing here, 100% clean"), "nothing here, 100% clean");
  EXPECT_EQ(redact(*shipped_rules(), *secrets(), ""), "");
}

TEST(Snippet, never_shows_the_half_of_a_second_secret) {
  const std::string text = token(1) + " " + token(2);
  const Streamed streamed = stream_cut(shipped_rules(), secrets(), text, {60});
  ASSERT_TRUE(streamed.finding);
  EXPECT_EQ(streamed.finding->snippet.find("ghp_"), std::string::npos) << streamed.finding->snippet;
}

}  // namespace
}  // namespace bot_bottle::dlp
