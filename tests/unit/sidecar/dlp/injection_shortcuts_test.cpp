// What makes injection detection fast against what is plain: anchors, folding by blocks.
#include <random>

#include "sidecar/dlp/injection.hpp"
#include "sidecar/dlp/phrase_anchors.hpp"
#include "tests/unit/sidecar/dlp/support.hpp"

namespace bot_bottle::dlp {
namespace {

const std::shared_ptr<const InjectionPhrases>& phrases() {
  static const auto all =
      or_throw(InjectionPhrases::compile(std::filesystem::path(BB_SOURCE_DIR) / "core/policy/injection"));
  return all;
}

/// A text that `regex` matches, at random.
std::string match_of(std::string_view& regex, std::mt19937& random) {
  std::vector<std::string> alternatives(1);
  while (!regex.empty() && regex[0] != ')') {
    const char c = regex[0];
    regex.remove_prefix(1);
    if (c == '|') {
      alternatives.emplace_back();
      continue;
    }
    std::string_view again;
    std::string_view before = regex;
    const auto once = [&] {
      if (c == '(') {
        again = before.substr(2);
        std::string text = match_of(again, random);
        again.remove_prefix(1);
        return text;
      }
      if (c == '[') {
        again = before.substr(before.find(']') + 1);
        return std::string(1, static_cast<char>('a' + random() % 26));
      }
      again = before;
      return std::string(1, c);
    };
    std::string item = once();
    regex = again;
    if (regex.starts_with("?")) {
      regex.remove_prefix(1);
      if (random() % 2 == 0) item.clear();
    } else if (regex.starts_with("{")) {
      const auto low = static_cast<unsigned>(std::stoul(std::string(regex.substr(1))));
      const auto high = static_cast<unsigned>(std::stoul(std::string(regex.substr(regex.find(',') + 1))));
      regex.remove_prefix(regex.find('}') + 1);
      item.clear();
      for (unsigned count = low + static_cast<unsigned>(random() % (high - low + 1)); count > 0; --count)
        item += once();
    }
    alternatives.back() += item;
  }
  return alternatives[random() % alternatives.size()];
}

TEST(InjectionShortcuts, whatever_matches_a_phrase_holds_one_of_its_anchors) {
  std::mt19937 random(4);
  for (const Phrase& phrase : phrases()->phrases()) {
    const std::vector<std::string> anchors = anchors_of(phrase.regex);
    ASSERT_FALSE(anchors.empty()) << phrase.id;
    for (int round = 0; round < 300; ++round) {
      std::string_view regex = phrase.regex;
      const std::string text = match_of(regex, random);
      ASSERT_TRUE(RE2::FullMatch(text, RE2(phrase.regex))) << phrase.id << ": " << text;
      EXPECT_TRUE(std::ranges::any_of(
          anchors, [&](const std::string& anchor) { return text.find(anchor) != std::string::npos; }))
          << phrase.id << ": " << text;
    }
  }
  EXPECT_THAT(anchors_of("(?:ab|c )x{0,2}(?:ignore|forget)(?: it)?"), testing::ElementsAre("forget", "ignore"));
  EXPECT_TRUE(anchors_of("(?:ignore|forget)?").empty()) << "both may be missing";
  EXPECT_TRUE(anchors_of("ignore|[a-z]{1,4}").empty()) << "one branch has none";
  EXPECT_TRUE(anchors_of("(?:ignore").empty());
  EXPECT_TRUE(anchors_of_all({"ignore", "[a-z]"}).empty());
}

std::vector<InjectionSighting> read_in_pieces(std::string_view text, std::mt19937 random, std::size_t largest,
                                              InjectionStream::Search search) {
  InjectionStream stream(phrases(), Folder::Quotes::speak, search);
  std::vector<InjectionSighting> all;
  const auto keep = [&](std::vector<InjectionSighting> some) {
    for (auto& sighting : some) all.push_back(std::move(sighting));
  };
  while (!text.empty()) {
    const std::size_t size = std::min<std::size_t>(text.size(), 1 + random() % largest);
    keep(stream.write(text.substr(0, size)));
    text.remove_prefix(size);
  }
  keep(stream.finish());
  return all;
}

TEST(InjectionShortcuts, near_anchors_is_seen_what_is_seen_everywhere) {
  std::mt19937 random(5);
  const char* words[] = {"the",        "server",       "your ",   "reads", "token", "user",
                         "\"quoted\"", "send",         "\\n",     "x",     "42",    "\xd0\xbc\xd0\xb8\xd1\x80",
                         "prompt",     "instructions", "l0ng3st", "ignore"};
  std::vector<std::string> samples;
  for (const Phrase& phrase : phrases()->phrases()) {
    for (int round = 0; round < 6; ++round) {
      std::string_view regex = phrase.regex;
      samples.push_back(match_of(regex, random));
    }
  }
  int found = 0;
  for (int round = 0; round < 600; ++round) {
    std::string text;
    const bool dense = random() % 2 == 0;  // anchors everywhere, or long stretches without any
    const auto fill = [&](std::size_t size) {
      const std::size_t until = text.size() + size;
      while (text.size() < until) {
        text += dense ? words[random() % std::size(words)] : std::string(1 + random() % 9, 'z');
        text += random() % 8 == 0 ? "" : " ";
      }
    };
    const std::size_t sizes[] = {0, 30, 1100, 3000, 66000};
    for (int count = 0; count < 3; ++count) {
      fill(sizes[random() % (round % 50 == 0 ? 5 : 4)] + random() % 40);
      std::string sample = samples[random() % samples.size()];
      if (random() % 4 == 0) sample[random() % sample.size()] = 'q';  // a near miss
      if (random() % 4 == 0) text += 'y';                             // no word of its own
      text += sample;
    }
    fill(sizes[random() % 4]);
    const std::mt19937 cuts(static_cast<unsigned>(round));
    const std::size_t largest = round % 3 == 0 ? 40 : round % 3 == 1 ? 2000 : 100000;
    const auto plain = read_in_pieces(text, cuts, largest, InjectionStream::Search::everywhere);
    const auto fast = read_in_pieces(text, cuts, largest, InjectionStream::Search::near_anchors);
    ASSERT_EQ(fast.size(), plain.size()) << round << ": " << text;
    for (std::size_t i = 0; i < fast.size(); ++i) {
      EXPECT_EQ(fast[i].phrase, plain[i].phrase);
      EXPECT_EQ(fast[i].with, plain[i].with);
      EXPECT_EQ(fast[i].offset, plain[i].offset);
      EXPECT_EQ(fast[i].snippet, plain[i].snippet);
      EXPECT_EQ(fast[i].is_mention, plain[i].is_mention);
      EXPECT_EQ(fast[i].is_attempt, plain[i].is_attempt);
    }
    found += fast.empty() ? 0 : 1;
  }
  EXPECT_GT(found, 200);
}

TEST(InjectionShortcuts, text_by_blocks_is_folded_as_octet_by_octet) {
  std::mt19937 random(6);
  const char* pieces[] = {"a",
                          "B",
                          " ",
                          "  ",
                          "7",
                          "@",
                          "\"",
                          "'",
                          "`",
                          "=\"",
                          "=",
                          "\\n",
                          "\\\"",
                          "\\u0041",
                          "\\ud83d\\ude00",
                          "\\",
                          "&",
                          "&amp;",
                          "&#105;",
                          "&quot;",
                          "\xd0\xbc",
                          "\xd0\xb0",
                          "\xe4\xbd\xa0",
                          "\xe2\x80\x9c",
                          "\xe2\x80\x8b",
                          "\xf0\x9f\x98\x80",
                          "\xc3",
                          "\x80",
                          "\xff",
                          "\xe2\x80",
                          "\xc0\xa0",
                          "word",
                          "0",
                          "\n",
                          "\xef\xbc\xa1",
                          "\xed\xa0\x80",
                          "plain text of sixteen",
                          "\xc2\xad"};
  for (int round = 0; round < 4000; ++round) {
    std::string text;
    const std::size_t kinds = 1 + random() % std::size(pieces);
    const bool words = random() % 2 == 0;
    for (std::size_t count = random() % 120; count > 0; --count)
      text += words && random() % 3 != 0 ? "plain words " : pieces[random() % kinds];
    for (const Folder::Quotes quotes : {Folder::Quotes::speak, Folder::Quotes::structure}) {
      Folder plain(quotes, Folder::Way::octet_wise);
      Folder fast(quotes);
      std::string expected;
      std::string got;
      for (std::size_t at = 0; at < text.size();) {
        const std::size_t size = 1 + random() % 300;
        plain.write(std::string_view(text).substr(at, size), expected);
        fast.write(std::string_view(text).substr(at, size), got);
        at += size;
      }
      plain.finish(expected);
      fast.finish(got);
      ASSERT_EQ(got, expected) << text;
      ASSERT_EQ(fast.marks(), plain.marks()) << text;
    }
  }
}

TEST(InjectionShortcuts, no_answer_costs_more_than_two_looks_at_each_character) {
  std::string anchors;
  std::string phrases_text;
  std::string far;  // an anchor as seldom as makes the detector begin anew each time
  while (anchors.size() < 400000) anchors += "token ignore prompt ";
  while (phrases_text.size() < 400000) phrases_text += "ignore all previous instructions ";
  while (far.size() < 400000) far += std::string(2000, 'z') + " ignore ";
  for (const std::string& text : {anchors, phrases_text, far, std::string(400000, 'z')}) {
    for (const std::size_t size : {text.size() / 4, text.size()}) {
      InjectionStream stream(phrases(), Folder::Quotes::speak);
      for (std::size_t at = 0; at < size; at += 16384)
        stream.write(std::string_view(text).substr(at, std::min<std::size_t>(16384, size - at)));
      stream.finish();
      EXPECT_LE(stream.work(), size * 2 + size / 100);
    }
  }
  InjectionStream quiet(phrases(), Folder::Quotes::speak);
  quiet.write(std::string(400000, 'z'));
  EXPECT_LE(quiet.work(), 400000U + 4000U) << "no phrase is looked for where no anchor is";
}

}  // namespace
}  // namespace bot_bottle::dlp
