// The rules as data: every sample through the scanner, through the naive one, cut everywhere and encoded. And the
// cache.
#include <sys/stat.h>

#include <random>

#include "core/base/file.hpp"
#include "core/base/random.hpp"
#include "tests/unit/sidecar/dlp/naive.hpp"
#include "tests/unit/sidecar/dlp/support.hpp"

namespace bot_bottle::dlp {
namespace {

struct Sample {
  const RuleText* rule;
  std::string text;
  bool caught;
};

const std::vector<RuleText>& rule_texts() {
  static const std::vector<RuleText> all = [] {
    std::vector<RuleText> texts;
    for (const auto& entry : std::filesystem::directory_iterator(rules_directory)) {
      if (entry.path().extension() != ".toml") continue;
      for (RuleText& text : or_throw(parse_rules(or_throw(read_file(entry.path()))))) texts.push_back(std::move(text));
    }
    return texts;
  }();
  return all;
}

const std::vector<Sample>& samples() {
  static const std::vector<Sample> all = [] {
    std::vector<Sample> list;
    for (const RuleText& rule : rule_texts()) {
      for (const bool caught : {true, false})
        for (const std::string& text : caught ? rule.catches : rule.spares)
          list.push_back(
              {&rule, or_throw(expand_sample(text, std::hash<std::string>{}(rule.id) + list.size())), caught});
    }
    return list;
  }();
  return all;
}

const std::shared_ptr<const KnownSecrets>& no_secrets() {
  static const std::shared_ptr<const KnownSecrets> none = known({});
  return none;
}

bool rule_hits(const RuleText& rule, std::string_view text) {
  for (const Hit& hit : find_hits({&shipped_rules()->state(), no_secrets()->state(), {}}, text, Extent::all))
    if (hit.rule == nullptr || hit.rule->text.id == rule.id) return true;
  return false;
}

/// Each octet, or each third one, as "%XX".
std::string percent_encoded(std::string_view text, std::size_t each) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i % each == 0)
      out += "%" + hex_encode(text.substr(i, 1));
    else
      out += text[i];
  }
  return out;
}

TEST(DlpRules, there_are_rules_for_what_developers_hold) {
  EXPECT_GE(rule_texts().size(), 100U);
  EXPECT_EQ(shipped_rules()->count(), rule_texts().size());
  EXPECT_LE(shipped_rules()->state().longest, max_match_octets);
}

TEST(DlpRules, every_rule_catches_what_it_should_and_spares_the_rest) {
  for (const Sample& sample : samples()) {
    EXPECT_EQ(rule_hits(*sample.rule, sample.text), sample.caught) << sample.rule->id << ": " << sample.text;
    EXPECT_EQ(naive::Rule(*sample.rule).found_in(sample.text), sample.caught)
        << sample.rule->id << " (naive): " << sample.text;
    if (sample.caught) {
      EXPECT_TRUE(scan(*shipped_rules(), *no_secrets(), {}, sample.text)) << sample.rule->id;
    }
  }
}

TEST(DlpRules, the_engine_and_the_naive_scanner_agree_on_each_sample_for_each_rule) {
  for (const RuleText& rule : rule_texts()) {
    const naive::Rule oracle(rule);
    for (const Sample& sample : samples())
      EXPECT_EQ(rule_hits(rule, sample.text), oracle.found_in(sample.text)) << rule.id << ": " << sample.text;
  }
}

TEST(DlpRules, no_sample_looks_alive_as_it_stands_in_its_file) {
  for (const RuleText& rule : rule_texts()) {
    for (const std::string& text : rule.catches) {
      const auto finding = scan(*shipped_rules(), *no_secrets(), {}, text);
      EXPECT_FALSE(finding) << rule.id << ": " << text;
    }
  }
}

TEST(DlpRules, a_caught_sample_is_caught_in_percent_encoding) {
  for (const Sample& sample : samples()) {
    if (!sample.caught) continue;
    for (const std::size_t each : {1U, 3U, 40U}) {
      const std::string text = "a=1&b=" + percent_encoded(sample.text, each);
      const auto finding = scan(*shipped_rules(), *no_secrets(), {}, text);
      ASSERT_TRUE(finding) << sample.rule->id << ": " << text;
      const Streamed streamed = stream_octets(shipped_rules(), no_secrets(), text);
      ASSERT_TRUE(streamed.finding) << sample.rule->id << ": " << text;
      EXPECT_TRUE(text.starts_with(streamed.released));
      EXPECT_LE(streamed.released.size(), streamed.finding->offset) << sample.rule->id << ": " << text;
    }
  }
}

TEST(DlpRules, no_octet_of_a_caught_sample_is_released_however_it_is_cut) {
  for (const Sample& sample : samples()) {
    const std::string text = "first line\n" + sample.text + "\nlast line";
    const auto whole = scan(*shipped_rules(), *no_secrets(), {}, text);
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
      const Streamed streamed = stream_cut(shipped_rules(), no_secrets(), text, {cut});
      ASSERT_EQ(streamed.finding.has_value(), whole.has_value()) << sample.rule->id << " at " << cut << ": " << text;
      if (!whole) {
        EXPECT_EQ(streamed.released, text);
      } else {
        EXPECT_LE(streamed.released.size(), streamed.finding->offset) << sample.rule->id << " at " << cut;
      }
    }
    // The body that is the secret and nothing else: some rules only match at its end.
    const auto bare = scan(*shipped_rules(), *no_secrets(), {}, sample.text);
    const Streamed alone = stream_octets(shipped_rules(), no_secrets(), sample.text);
    ASSERT_EQ(alone.finding.has_value(), bare.has_value()) << sample.rule->id << ": " << sample.text;
    if (bare) {
      EXPECT_LE(alone.released.size(), alone.finding->offset) << sample.rule->id;
    }
    const Streamed streamed = stream_octets(shipped_rules(), no_secrets(), text);
    ASSERT_EQ(streamed.finding.has_value(), whole.has_value()) << sample.rule->id << ": " << text;
    EXPECT_TRUE(text.starts_with(streamed.released));
    if (whole) {
      EXPECT_LE(streamed.released.size(), streamed.finding->offset) << sample.rule->id;
    }
  }
}

TEST(DlpRules, a_snippet_never_holds_the_secret) {
  for (const Sample& sample : samples()) {
    if (!sample.caught) continue;
    for (const std::string& text : {sample.text, "before " + sample.text + " after", percent_encoded(sample.text, 2)}) {
      const auto finding = scan(*shipped_rules(), *no_secrets(), {}, text);
      ASSERT_TRUE(finding);
      EXPECT_NE(finding->snippet.find(mask), std::string::npos);
      EXPECT_FALSE(scan(*shipped_rules(), *no_secrets(), {}, finding->snippet))
          << sample.rule->id << ": " << finding->snippet;
      EXPECT_FALSE(scan(*shipped_rules(), *no_secrets(), {}, redact(*shipped_rules(), *no_secrets(), text)))
          << sample.rule->id << ": " << text;
    }
  }
}

TEST(DlpRules, a_redacted_private_key_has_no_line_left) {
  const std::string key =
      or_throw(expand_sample("log: -----BEGIN {{-}}RSA PRIVATE KEY-----\n{{64:base64}}\n{{64:base64}}\n-----END RSA "
                             "PRIVATE KEY-----\nnext line",
                             1));
  EXPECT_EQ(redact(*shipped_rules(), *no_secrets(), key), "log: ********\nnext line");
}

std::string fault_of(std::string_view rule) {
  const auto directory = std::filesystem::temp_directory_path() / ("bb-rules-" + random_base36(8));
  std::filesystem::create_directories(directory);
  std::ofstream(directory / "x.toml") << rule;
  const auto rules = Rules::compile(directory);
  std::filesystem::remove_all(directory);
  return rules ? "" : rules.error().message;
}

TEST(DlpRules, what_a_stream_cannot_hold_or_a_reader_would_mistake_is_refused) {
  const std::string samples_text = "catches=['a','b']\nspares=['c','d']\n";
  const auto rule = [&](const std::string& text) { return fault_of("[[rules]]\nid='x'\n" + samples_text + text); };
  EXPECT_EQ(rule("regex='abc'"), "");
  EXPECT_THAT(rule("regex='ab+c'"), testing::HasSubstr("not bounded"));
  EXPECT_THAT(rule("regex='a.{2000}'"), testing::HasSubstr("not bounded"));
  EXPECT_THAT(rule("regex='(a|'"), testing::HasSubstr("rule 'x'"));
  EXPECT_THAT(rule("regex='^abc'"), testing::HasSubstr("anchored"));
  EXPECT_THAT(rule("regex='x(?:^|a)bc'"), testing::HasSubstr("anchored"));
  EXPECT_EQ(rule("regex='a[^b]c'"), "");
  EXPECT_EQ(rule("regex='a[]^]c'"), "");
  EXPECT_THAT(rule("regex='a{0,3}'"), testing::HasSubstr("rule 'x'"));
  EXPECT_THAT(rule("regex='abc'\nsecretGroup=1"), testing::HasSubstr("no group 1"));
  EXPECT_THAT(rule("regex='abc'\nkeywrods=[]"), testing::HasSubstr("'keywrods' is not supported"));
  EXPECT_THAT(rule("regex='abc'\npath='x'"), testing::HasSubstr("'path' is not supported"));
  EXPECT_THAT(rule("regex='abc'\n[rules.allowlist]\nregexes=['^true|false|null$']"),
              testing::HasSubstr("bind to one alternative"));
  EXPECT_EQ(rule("regex='abc'\n[rules.allowlist]\nregexes=['^(?:true|false|null)$']"), "");
  EXPECT_THAT(rule("regex='abc'\n[rules.allowlist]\nstopwords=['']"), testing::HasSubstr("allow everything"));
  EXPECT_THAT(fault_of("[[rules]]\nid='x'\nregex='abc'\ncatches=['a']\nspares=['c','d']"),
              testing::HasSubstr("two 'catches'"));
  EXPECT_THAT(
      fault_of("[[rules]]\nid='x'\nregex='abc'\n" + samples_text + "[[rules]]\nid='x'\nregex='abd'\n" + samples_text),
      testing::HasSubstr("twice"));
  EXPECT_THAT(fault_of(""), testing::HasSubstr("no [[rules]]"));
  EXPECT_FALSE(Rules::compile("/nonexistent/rules")) << "no rules is a fault, never an empty set";
}

TEST(DlpCache, a_saved_database_finds_the_same) {
  const std::string bytes = or_throw(serialise(shipped_rules()->state()));
  const std::string& hash = shipped_rules()->state().source_hash;
  auto state = unserialise(bytes, hash);
  ASSERT_TRUE(state);
  ASSERT_TRUE(state->prepare());
  const auto loaded = std::make_shared<const Rules>(std::move(state));
  for (const Sample& sample : samples()) {
    const auto one = scan(*shipped_rules(), *no_secrets(), {}, sample.text);
    const auto two = scan(*loaded, *no_secrets(), {}, sample.text);
    ASSERT_EQ(one.has_value(), two.has_value()) << sample.text;
    if (one) {
      EXPECT_EQ(one->rule + one->snippet, two->rule + two->snippet);
    }
  }
}

TEST(DlpCache, a_torn_foreign_or_changed_database_is_never_used) {
  const std::string bytes = or_throw(serialise(shipped_rules()->state()));
  const std::string& hash = shipped_rules()->state().source_hash;
  EXPECT_FALSE(unserialise(bytes, std::string(64, '0'))) << "made from other rules";
  EXPECT_FALSE(unserialise("", hash));
  EXPECT_FALSE(unserialise(bytes + "x", hash));
  std::mt19937 random(1);
  for (int round = 0; round < 60; ++round) {
    std::string changed = bytes;
    changed[round < 20 ? static_cast<std::size_t>(round) * 8 : random() % changed.size()] ^=
        static_cast<char>(1 + random() % 255);
    EXPECT_FALSE(unserialise(changed, hash));
    EXPECT_FALSE(unserialise(std::string_view(bytes).substr(0, random() % bytes.size()), hash));
  }
  // Whole, but saying that it is of another library or CPU.
  const std::size_t at = bytes.find("features ");
  ASSERT_NE(at, std::string::npos);
  std::string foreign = bytes;
  foreign[at + 9] = foreign[at + 9] == '1' ? '2' : '1';
  const std::size_t header = bytes.find('\n') + 1;
  foreign.replace(header, 64, sha256_hex(std::string_view(foreign).substr(header + 64)));
  EXPECT_FALSE(unserialise(foreign, hash));
}

TEST(DlpCache, loads_from_the_file_and_recompiles_when_it_is_bad_or_others_can_write_it) {
  const auto directory = std::filesystem::temp_directory_path() / ("bb-dlp-" + random_base36(8));
  const auto write_rule = [&](const char* folder, const char* regex) {
    std::filesystem::create_directories(directory / folder);
    std::ofstream(directory / folder / "x.toml")
        << "[[rules]]\nid='x'\nregex='" << regex << "'\ncatches=['a','b']\nspares=['c','d']\n";
  };
  write_rule("rules", "marker[0-9]{4}");
  write_rule("other", "token[0-9]{4}");
  const auto file = directory / "db";
  const auto finds = [&](std::string_view text) {
    return scan(*or_throw(Rules::load(directory / "rules", file)), *no_secrets(), {}, text).has_value();
  };
  EXPECT_TRUE(finds("marker1234")) << "no file yet";
  ASSERT_TRUE(or_throw(Rules::compile(directory / "rules"))->save(file));
  EXPECT_TRUE(finds("marker1234"));
  std::ofstream(file, std::ios::trunc) << "garbage";
  EXPECT_TRUE(finds("marker1234"));
  ASSERT_TRUE(or_throw(Rules::compile(directory / "other"))->save(file));
  EXPECT_TRUE(finds("marker1234")) << "made from other rules";
  // A forged file that names our rules but finds something else: shows that the file is used, and when it is not.
  const std::string ours = or_throw(Rules::compile(directory / "rules"))->state().source_hash;
  std::string forged = or_throw(serialise(or_throw(Rules::compile(directory / "other"))->state()));
  const std::string theirs = or_throw(Rules::compile(directory / "other"))->state().source_hash;
  forged.replace(forged.find(theirs), 64, ours);
  const std::size_t header = forged.find('\n') + 1;
  forged.replace(header, 64, sha256_hex(std::string_view(forged).substr(header + 64)));
  ASSERT_TRUE(write_file_atomic(file, forged, 0644));
  EXPECT_FALSE(finds("marker1234")) << "the file is what is loaded";
  ::chmod(file.c_str(), 0666);
  EXPECT_TRUE(finds("marker1234"));
  ::chmod(file.c_str(), 0664);
  EXPECT_TRUE(finds("marker1234"));
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace bot_bottle::dlp
