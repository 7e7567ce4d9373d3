// A person's own .gitleaks.toml: taken as it is, and what is not taken is named.
#include "sidecar/dlp/gitleaks.hpp"

#include "core/base/random.hpp"
#include "sidecar/dlp/bounded_regex.hpp"
#include "tests/unit/sidecar/dlp/support.hpp"

namespace bot_bottle::dlp {
namespace {

/// One of the shipped files: all of them would be compiled again for each file that is tried.
const std::filesystem::path& some_rules() {
  struct Directory {
    Directory() {
      std::filesystem::create_directories(path);
      std::filesystem::copy_file(rules_directory / "packages.toml", path / "packages.toml");
    }
    ~Directory() { std::filesystem::remove_all(path.parent_path()); }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    std::filesystem::path path = std::filesystem::temp_directory_path() / ("bb-gitleaks-" + random_base36(8)) / "rules";
  };
  static const Directory directory;
  return directory.path;
}

std::shared_ptr<const Rules> with(const std::string& text, OwnRules::For used_for = OwnRules::For::streams) {
  return or_throw(Rules::compile(some_rules(), {text, "own.toml", used_for}));
}
std::string found_by(const std::shared_ptr<const Rules>& rules, std::string_view text) {
  const auto finding = scan(*rules, *known({}), {}, text);
  return finding ? finding->rule : "";
}
std::string found(const std::string& own, std::string_view text) {
  return found_by(with(own), text);
}
std::string fault_of(const std::string& text) {
  const auto rules = Rules::compile(some_rules(), {text, "own.toml"});
  return rules ? "" : rules.error().message;
}

TEST(Gitleaks, a_file_as_people_have_it_is_taken) {
  const std::string own = R"toml(
title = "our rules"
minVersion = "v8.25.0"
[extend]
useDefault = true
disabledRules = ["jwt"]
[[rules]]
id = "acme-key"
description = "Acme"
regex = '''(?i)\bacme[_-]?key\s*[:=]\s*"?(?P<key>[a-z0-9]{20,})'''
secretGroup = 1
entropy = 3
keywords = ["acme"]
tags = ["internal"]
[[rules.allowlists]]
description = "samples"
condition = "AND"
regexTarget = "match"
regexes = ['''sample''', '''example''']
stopwords = ["abcdefgh"]
[allowlist]
paths = ['''testdata/''']
stopwords = ["notasecret"]
)toml";
  EXPECT_EQ(found(own, "acme_key = 9f8e7d6c5b4a39281706xyzw"), "acme-key");
  EXPECT_EQ(found(own, "acme_key = aaaaaaaaaaaaaaaaaaaaaaaaaaa"), "") << "entropy";
  EXPECT_EQ(found(own, "acme_key = 9f8enotasecretd6c5b4a28170"), "") << "global stopword";
  EXPECT_EQ(found(own, "acme_key = 9f8e7d6c5b4abcdefgh39281706"), "acme-key") << "AND needs the regex too";
}

TEST(Gitleaks, regex_target_says_what_an_allow_regex_looks_at) {
  const auto own = [](const std::string& target) {
    return "[[rules]]\nid='a'\nregex='''key=([a-z0-9]{8})'''\n[rules.allowlist]\nregexTarget='" + target +
           "'\nregexes=['test']\n";
  };
  EXPECT_EQ(found(own("secret"), "test key=a1b2c3d4"), "a");
  EXPECT_EQ(found(own("secret"), "key=test1234"), "");
  EXPECT_EQ(found(own("line"), "test key=a1b2c3d4"), "");
  EXPECT_EQ(found(own("line"), "test\nkey=a1b2c3d4"), "a") << "another line";
}

TEST(Gitleaks, a_rule_of_the_same_name_replaces_or_refines_the_shipped_one) {
  const std::string token = or_throw(expand_sample("npm_{{36:alnum}}", 7));
  EXPECT_EQ(found("[[rules]]\nid='other'\nregex='zzzz'", token), "npm-access-token");
  EXPECT_EQ(found("[[rules]]\nid='npm-access-token'\nregex='zzzz'", token), "");
  EXPECT_EQ(found("[[rules]]\nid='npm-access-token'\n[rules.allowlist]\nregexes=['^npm_']", token), "");
  EXPECT_EQ(found("[extend]\nuseDefault=true\ndisabledRules=['npm-access-token']", token), "");
  EXPECT_EQ(found("[allowlist]\nregexes=['^npm_']", token), "npm-access-token")
      << "without useDefault a file speaks of its own rules only";
  EXPECT_EQ(
      found("[extend]\nuseDefault=true\n[[allowlists]]\ntargetRules=['npm-access-token']\nregexes=['^npm_']", token),
      "");
}

TEST(Gitleaks, a_rule_for_a_path_is_no_rule_for_a_stream) {
  const std::string own = "[[rules]]\nid='a'\nregex='secretword'\npath='''\\.env$'''";
  EXPECT_EQ(found(own, "secretword"), "");
  EXPECT_EQ(found_by(with(own, OwnRules::For::files), "secretword"), "a");
  const auto notes = or_throw(parse_gitleaks(own, "own.toml")).notes;
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_THAT(notes[0], testing::HasSubstr("used by scan, not by egress"));
}

TEST(Gitleaks, what_is_not_supported_is_named_with_its_line) {
  EXPECT_EQ(fault_of("title='x'\n[extend]\npath='base.toml'"), "own.toml:3: extend: 'path' is not supported");
  EXPECT_EQ(fault_of("\n[[rules]]\nid='a'\nregex='ab(?=c)'"),
            "own.toml:4: rule 'a': '(?=…)' in a regex is not supported");
  EXPECT_THAT(fault_of("[[rules]]\nid='a'\nregex='''(a)\\1'''"), testing::HasSubstr("back-reference"));
  EXPECT_THAT(fault_of("[[rules]]\nid='a'\nregex='ab'\n[[rules.required]]\nid='b'"),
              testing::HasSubstr("rule 'a': 'required' is not supported"));
  EXPECT_THAT(fault_of("[[rules]]\nid='a'\nregxe='ab'"), testing::HasSubstr("'regxe' is not supported"));
  EXPECT_THAT(fault_of("[[rules]]\nid='a'"), testing::HasSubstr("own.toml:1: rule 'a': has no 'regex'"));
  EXPECT_THAT(fault_of("[[rules]]\nid='a'\nregex='(a'"), testing::HasSubstr("own.toml:3: rule 'a': regex"));
  EXPECT_THAT(fault_of("[[rules]]\nid='a'\nregex='a*'"), testing::HasSubstr("matches nothing at all"));
  EXPECT_THAT(fault_of("[[rules]]\nid='a'\nregex='abc'\nsecretGroup=2"), testing::HasSubstr("no group 2"));
  EXPECT_THAT(fault_of("[[rules]]\nid='a'\nregex='abc'\n[rules.allowlist]\nregexTarget='commit'"),
              testing::HasSubstr("own.toml:5: rule 'a': allowlist: regexTarget 'commit' is not supported"));
  EXPECT_THAT(fault_of("[[rules]]\nid='a'\nregex='abc'\n[rules.allowlist]\nregexes=['(']"),
              testing::HasSubstr("allow regex"));
  EXPECT_THAT(fault_of("[[rules]]\nid='a'\nregex='abc'\n[rules.allowlist]\nstopwords=['']"),
              testing::HasSubstr("allow everything"));
  EXPECT_THAT(fault_of("[[rules"), testing::HasSubstr("own.toml:1:"));
  EXPECT_THAT(fault_of("[[rules]]\nid='a'\nregex='abc'\n[[rules]]\nid='a'\nregex='abc'"), testing::HasSubstr("twice"));
  EXPECT_THAT(fault_of("[[rules]]\nid='a'\nregex='(?:a+b+){100,}'"), testing::HasSubstr("bounded"));
}

TEST(Gitleaks, open_repeats_get_an_end_and_a_caret_is_the_beginning_of_a_line) {
  EXPECT_EQ(or_throw(bound_repeats("a+b*?c{3,}d{2}e{2,4}", 10)), "a{1,10}b{0,10}?c{3,13}d{2}e{2,4}");
  EXPECT_EQ(or_throw(bound_repeats("[+*]\\+[^]*]\\*[[:alpha:]+]", 10)), "[+*]\\+[^]*]\\*[[:alpha:]+]");
  EXPECT_EQ(or_throw(bound_repeats("\\Qa+\\Eb+", 3)), "\\Qa+\\Eb{1,3}");
  EXPECT_EQ(found("[[rules]]\nid='a'\nregex='^abcdef'", "x\nabcdef"), "a");
  EXPECT_EQ(found("[[rules]]\nid='a'\nregex='^abcdef'", "xabcdef"), "");
  EXPECT_EQ(found("[[rules]]\nid='a'\nregex='begin[a-z]*end'", "begin" + std::string(90, 'x') + "end"), "a");
}

TEST(Gitleaks, what_was_compiled_with_it_comes_back_from_the_cache) {
  const std::string own = "[[rules]]\nid='a'\nregex='''key=([a-z0-9]{8})'''\n[rules.allowlist]\nregexes=['test']\n";
  const auto rules = with(own);
  const std::string bytes = or_throw(serialise(rules->state()));
  EXPECT_EQ(unserialise(bytes, shipped_rules()->state().source_hash), nullptr) << "another set of rules";
  auto state = unserialise(bytes, rules->state().source_hash);
  ASSERT_TRUE(state);
  ASSERT_TRUE(state->prepare());
  const auto loaded = std::make_shared<const Rules>(std::move(state));
  EXPECT_EQ(found_by(loaded, "key=a1b2c3d4"), "a");
  EXPECT_EQ(found_by(loaded, "key=test1234"), "");
}

}  // namespace
}  // namespace bot_bottle::dlp
