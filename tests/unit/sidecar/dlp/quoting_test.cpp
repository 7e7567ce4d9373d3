// What JSON quotes, looked at once: the relaxed rules and the places they name against two looks at the whole text.
#include <filesystem>
#include <random>
#include <set>

#include "core/base/file.hpp"
#include "core/base/random.hpp"
#include "sidecar/dlp/relaxed_regex.hpp"
#include "sidecar/dlp/unescape.hpp"
#include "tests/unit/sidecar/dlp/support.hpp"

namespace bot_bottle::dlp {
namespace {

DatabasePtr compile(const std::string& regex) {
  hs_database_t* database = nullptr;
  hs_compile_error_t* error = nullptr;
  if (hs_compile(regex.c_str(), 0, HS_MODE_BLOCK, nullptr, &database, &error) != HS_SUCCESS) {
    EXPECT_THAT(error->message, testing::HasSubstr("can never match")) << regex;
    hs_free_compile_error(error);
  }
  return DatabasePtr(database);
}

std::set<std::size_t> ends_of(const hs_database_t* database, std::string_view text) {
  hs_scratch_t* scratch = nullptr;
  EXPECT_EQ(hs_alloc_scratch(database, &scratch), HS_SUCCESS);
  const ScratchPtr owned(scratch);
  std::set<std::size_t> ends;
  const auto on_match = [](unsigned, unsigned long long, unsigned long long to, unsigned, void* context) {
    static_cast<std::set<std::size_t>*>(context)->insert(static_cast<std::size_t>(to));
    return 0;
  };
  EXPECT_EQ(hs_scan(database, text.data(), static_cast<unsigned>(text.size()), 0, scratch, on_match, &ends),
            HS_SUCCESS);
  return ends;
}

std::string unquoted(std::string_view text) {
  std::string out;
  if (find_quoting(text, 0) == std::string_view::npos) return std::string(text);
  without_quoting(text, 0, text.size(), text.size(), out);
  return out;
}

TEST(Quoting, what_is_not_read_is_not_relaxed) {
  for (const std::string regex :
       {"^a", "a$", "(?m)a", "(?x)a b", "[[:alpha:]]", R"(\p{L})", R"(\Qa\E)", R"(\Aa)", R"(a\z)", R"(\b?a)",
        "(?:[^ ]|$)", "(?:[^a]|$)b", R"([\s-x])", "(?=a)", R"(\x{41})", R"(\141)", R"([\b])", "[a", "\\"})
    EXPECT_FALSE(relax_regex(regex)) << regex;
}

TEST(Quoting, every_shipped_rule_is_relaxed) {
  EXPECT_EQ(shipped_rules()->state().unrelaxed, nullptr);
}

/// Random regexes over random texts that are nearly all quoting.
TEST(Quoting, a_relaxed_regex_matches_where_the_text_or_what_it_quotes_does) {
  static constexpr std::string_view atoms[] = {
      "n",          "t",       "x",           " ",      R"(\n)",    R"(\x20)",     "\"",       R"(\\)", R"(\s)",
      R"(\S)",      R"(\w)",   R"(\W)",       R"(\D)",  ".",        "[ \t]",       R"([\sx])", "[^n]",  R"([^\sx])",
      "[^\"]",      "[x\\]-]", "[-x ]",       "[]n]",   "[^]\\\\]", R"([\x22'n])", "[^a-z]",   "[a-m]", R"([^\\ ])",
      R"([^\r\n])", "(?i:N)",  "(?i:[^A-Z])", "(?s:.)", R"([\W])",  R"([^\Wnx])"};
  static constexpr std::string_view texts[] = {"\\", "\\", "\\n", "\\t", "\\\"", "n", "r", "t",
                                               "b",  "x",  " ",   "\n",  "\"",   "N", "'"};
  std::mt19937 random(3);  // NOLINT(cert-msc51-cpp): the same each time
  const auto one_of = [&](const auto& list) { return list[random() % std::size(list)]; };
  std::size_t differing = 0;
  for (int round = 0; round < 1500; ++round) {
    std::string regex;
    if (random() % 3 == 0) regex += R"(\b)";
    for (std::size_t parts = 1 + random() % 4; parts > 0; --parts) {
      const std::string atom(one_of(atoms));
      switch (random() % 8) {
        case 0:
          regex += atom + "{0,3}";
          break;
        case 1:
          regex += "(?:" + atom + "|" + std::string(one_of(atoms)) + ")";
          break;
        case 2:
          regex += atom + R"(\b)";
          break;
        default:
          regex += atom;
      }
    }
    regex += "x";  // a regex that takes nothing is no rule
    if (random() % 4 == 0) regex += random() % 2 == 0 ? "(?:[^a-z0-9]|$)" : "(?:[^x\"]|$)";
    const auto wide = relax_regex(regex);
    ASSERT_TRUE(wide) << regex;
    const DatabasePtr exact = compile(regex);
    if (!exact) continue;
    const DatabasePtr relaxed = compile(*wide);
    ASSERT_TRUE(relaxed) << regex;
    for (int tries = 0; tries < 20; ++tries) {
      std::string text;
      for (std::size_t parts = random() % 24; parts > 0; --parts) text += one_of(texts);
      text += "x";
      if (random() % 2 == 0) text += one_of(texts);
      const std::set<std::size_t> seen = ends_of(relaxed.get(), text);
      for (const std::string& reading : {text, unquoted(text)}) {
        for (const std::size_t end : ends_of(exact.get(), reading))
          ASSERT_TRUE(seen.contains(end) || (end + 1 == text.size() && seen.contains(text.size())))
              << regex << " as " << *wide << " in " << text;
        differing += ends_of(exact.get(), reading) != ends_of(exact.get(), text) ? 1U : 0U;
      }
    }
  }
  EXPECT_GT(differing, 1000U);
}

const std::shared_ptr<const KnownSecrets>& nothing_known() {
  static const std::shared_ptr<const KnownSecrets> none = known({});
  return none;
}

/// By two looks at the whole text.
bool is_in(const std::shared_ptr<const Rules>& rules, std::string_view text) {
  return !find_hits({&rules->state(), nothing_known()->state(), {}}, text, Extent::first).empty();
}

std::vector<std::string> caught_samples() {
  std::vector<std::string> samples;
  for (const auto& entry : std::filesystem::directory_iterator(rules_directory)) {
    if (entry.path().extension() != ".toml") continue;
    for (const RuleText& rule : or_throw(parse_rules(or_throw(read_file(entry.path())))))
      for (const std::string& sample : rule.catches) samples.push_back(or_throw(expand_sample(sample, samples.size())));
  }
  return samples;
}

/// As JSON, and as JSON inside of JSON, would write it.
std::string quote(std::string_view text, std::size_t layers) {
  std::string out(text);
  for (; layers > 0; --layers) {
    std::string quoted;
    for (const char c : out) {
      if (c == '\n')
        quoted += "\\n";
      else if (c == '\t')
        quoted += "\\t";
      else if (c == '"' || c == '\\')
        quoted.append("\\").append(1, c);
      else
        quoted += c;
    }
    out = quoted;
  }
  return out;
}

TEST(Quoting, a_stream_finds_what_two_looks_at_the_whole_text_find) {
  static constexpr std::string_view edges[] = {"\n", "\t", "\"", "'",    "\\", "\\\\", "n",
                                               "x",  "_",  " ",  "\r\n", "",   "\n\"", "\b"};
  const std::vector<std::string> samples = caught_samples();
  std::mt19937 random(11);  // NOLINT(cert-msc51-cpp): the same each time
  const auto edge = [&] { return std::string(edges[random() % std::size(edges)]); };
  std::size_t found = 0;
  std::size_t spared = 0;
  for (int round = 0; round < 6000; ++round) {
    std::string sample = samples[random() % samples.size()];
    if (random() % 4 == 0) sample.erase(random() % sample.size(), 1);
    if (random() % 4 == 0) sample.insert(random() % sample.size(), edge());
    std::string text = quote(edge() + edge() + sample + edge() + edge(), random() % 3);
    if (random() % 2 == 0) text.insert(0, std::string(random() % 900, random() % 2 == 0 ? '.' : '\\'));
    if (random() % 2 == 0) text.append(random() % 900, random() % 2 == 0 ? 'z' : '\\');
    const bool expected = is_in(shipped_rules(), text);
    std::vector<std::size_t> cuts;
    for (std::size_t at = random() % 40; at < text.size(); at += 1 + random() % (round % 2 == 0 ? 8 : 300))
      cuts.push_back(at);
    const Streamed streamed = stream_cut(shipped_rules(), nothing_known(), text, cuts, {true, false});
    ASSERT_EQ(streamed.finding.has_value(), expected) << text;
    if (!expected) {
      ASSERT_EQ(streamed.released, text);
    }
    ++(expected ? found : spared);
  }
  EXPECT_GT(found, 2000U);
  EXPECT_GT(spared, 500U);
}

/// How the bodies of models' APIs carry files: a credential in JSON in a string of JSON, and that in another. Its
/// quotes come with one, three and seven backslashes and no other escape.
TEST(Quoting, every_sample_is_found_in_strings_of_json_in_each_other) {
  std::size_t quotes = 0;
  for (const std::string& sample : caught_samples()) {
    quotes += sample.find('"') == std::string::npos ? 0U : 1U;
    for (std::size_t layers = 1; layers <= 3; ++layers) {
      const std::string text = R"({"content": ")" + quote(sample, layers) + R"("})";
      EXPECT_TRUE(is_in(shipped_rules(), text)) << text;
      for (const std::size_t cut : {text.size() / 3, text.size() / 2})
        EXPECT_TRUE(stream_cut(shipped_rules(), nothing_known(), text, {cut}, {true, false}).finding) << text;
    }
  }
  EXPECT_GE(quotes, 20U);
}

TEST(Quoting, nothing_of_a_match_leaves_while_its_end_is_not_known) {
  const std::string token = or_throw(expand_sample("sk-{{32:hex}}", 5));  // a rule that asks for the end of the word
  const std::string text = R"({"a":"look\n)" + token + R"(\\\\\\\\\n"})" + std::string(2'000, ' ');
  for (std::size_t cut = 1; cut < 80; ++cut) {
    for (std::size_t step = 1; step < 40; step += 6) {
      std::vector<std::size_t> cuts;
      for (std::size_t at = cut; at < text.size(); at += step) cuts.push_back(at);
      const Streamed streamed = stream_cut(shipped_rules(), nothing_known(), text, cuts, {true, false});
      ASSERT_TRUE(streamed.finding) << cut << ' ' << step;
      ASSERT_LE(streamed.released.size(), text.find(token)) << cut << ' ' << step;
    }
  }
}

/// Places that the relaxed rules name all over the text, one behind the other, none of them a match.
TEST(Quoting, a_text_full_of_places_to_look_at_is_read_a_few_times_and_no_more) {
  const std::string spared =
      R"(\npassword=\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" \nxsk-0123456789abcdef0123456789abcdef )";
  for (const std::size_t size : {20'000U, 200'000U}) {
    std::string text;
    while (text.size() < size) text += spared;
    Stream stream(shipped_rules(), nothing_known(), {true, false});
    std::string released;
    for (std::size_t at = 0; at < text.size(); at += 4'000)
      ASSERT_FALSE(stream.write(std::string_view(text).substr(at, 4'000), released)) << text.substr(0, 200);
    ASSERT_FALSE(stream.finish(released));
    EXPECT_EQ(released, text);
    EXPECT_LT(stream.work(), 5 * text.size());
  }
}

/// One shipped file and a rule of somebody's own; and the same from the cache.
std::vector<std::shared_ptr<const Rules>> with_own(const std::string& regex) {
  const std::filesystem::path top = std::filesystem::temp_directory_path() / ("bb-quoting-" + random_base36(8));
  const std::filesystem::path directory = top / "rules";
  std::filesystem::create_directories(directory);
  std::filesystem::copy_file(rules_directory / "packages.toml", directory / "packages.toml");
  const OwnRules own{.text = "[[rules]]\nid = 'own'\nregex = '''" + regex + "'''\n", .file = "own.toml"};
  const auto rules = or_throw(Rules::compile(directory, own));
  or_throw(rules->save(top / "database"));
  const auto loaded = or_throw(Rules::load(directory, top / "database", own));
  std::filesystem::remove_all(top);
  EXPECT_EQ(loaded->source(), Rules::Source::database);
  return {rules, loaded};
}

TEST(Quoting, a_rule_that_cannot_be_relaxed_is_looked_for_in_both_readings) {
  for (const auto& rules : with_own(R"(\bacme_[[:alnum:]]{20}$)")) {
    EXPECT_NE(rules->state().unrelaxed, nullptr);
    for (const std::string text : {"see acme_0123456789abcdefghij", R"(see\nacme_0123456789abcdefghij)"}) {
      EXPECT_TRUE(is_in(rules, text)) << text;
      EXPECT_TRUE(stream_cut(rules, nothing_known(), text, {7}, {true, false}).finding) << text;
      EXPECT_FALSE(stream_cut(rules, nothing_known(), text + "k", {7}, {true, false}).finding) << text;
    }
  }
}

/// How many backslashes there may be: what stands behind them tells what they are.
TEST(Quoting, a_match_that_ends_in_quoting_waits_for_the_letter_behind_it) {
  for (const auto& rules : with_own("acme_[a-z0-9]{20}[ ]{2}")) {
    EXPECT_EQ(rules->state().unrelaxed, nullptr);
    for (std::size_t backslashes = 1; backslashes < 40; ++backslashes) {
      for (const char last : {'n', 't', 'q', '"'}) {
        const std::string text =
            "see acme_0123456789abcdefghij" + std::string(backslashes, '\\') + last + ", and so on";
        ASSERT_EQ(is_in(rules, text), last != 'q' && backslashes + (last == 't' ? 1 : 0) >= 2) << text;
        for (std::size_t cut = 20; cut < text.size(); ++cut)
          ASSERT_EQ(stream_cut(rules, nothing_known(), text, {cut}, {true, false}).finding.has_value(),
                    is_in(rules, text))
              << text << " cut at " << cut;
      }
    }
  }
}

}  // namespace
}  // namespace bot_bottle::dlp
