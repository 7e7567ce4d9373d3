// Values for the guest's environment: literals, host variables, dotenv files, questions.
#include "core/manifest/env.hpp"

#include "tests/unit/core/manifest/fixture.hpp"

namespace bot_bottle::manifest {
namespace {

class Env : public ManifestTest {
 protected:
  void SetUp() override {
    ManifestTest::SetUp();
    ::setenv("BB_TEST_SET", "value", 1);
    ::setenv("BB_TEST_EMPTY", "", 1);
    ::unsetenv("BB_TEST_UNSET");
  }
  void TearDown() override {
    ::unsetenv("BB_TEST_SET");
    ::unsetenv("BB_TEST_EMPTY");
    ManifestTest::TearDown();
  }
  Manifest with(const std::string& yaml) {
    bottle("b", "---\n" + yaml + "---\n");
    return load_bottle(sources_, "b");
  }
};

TEST_F(Env, literals_and_host_variables_are_filled_in) {
  const Manifest manifest = with(R"(env:
  A: plain $text
  B: "${BB_TEST_SET}"
  C: a-${BB_TEST_SET}-${BB_TEST_UNSET:-d e}-${BB_TEST_EMPTY:-f}-${BB_TEST_EMPTY}.
  D: "$${BB_TEST_SET} ${BB_TEST_UNSET:-}"
)");
  EXPECT_THAT(resolve_env(manifest, {}, {}).values,
              testing::ElementsAre(testing::Pair("A", "plain $text"), testing::Pair("B", "value"),
                                   testing::Pair("C", "a-value-d e-f-."), testing::Pair("D", "${BB_TEST_SET} ")));
}

TEST_F(Env, everything_that_is_unanswered_is_told_at_once) {
  const Manifest manifest = with("env:\n  A: ${BB_TEST_UNSET}\n  B: \"?Which one\"\n  C: ${BB_TEST_UNSET_TOO}\n");
  EXPECT_EQ(faults_of([&] { static_cast<void>(resolve_env(manifest, {}, {})); }),
            "b.md:3:6: env.A: the host variable BB_TEST_UNSET is not set\n"
            "  export BB_TEST_UNSET, or give a default: ${BB_TEST_UNSET:-value}\n"
            "b.md:4:6: env.B: has no answer\n  answer it with --env B=…\n"
            "b.md:5:6: env.C: the host variable BB_TEST_UNSET_TOO is not set\n"
            "  export BB_TEST_UNSET_TOO, or give a default: ${BB_TEST_UNSET_TOO:-value}");
}

TEST_F(Env, questions_are_asked_unless_they_are_answered) {
  const Manifest manifest = with("env: {A: \"?First\", B: \"?\", C: lit}\n");
  std::vector<std::string> asked;
  const auto ask = [&asked](const std::string& name, const std::string& question) {
    asked.push_back(name + "/" + question);
    return "answer to " + name;
  };
  const ResolvedEnv resolved = resolve_env(manifest, {{"A", "given"}, {"C", "other"}, {"NEW", "more"}}, ask);
  EXPECT_THAT(asked, testing::ElementsAre("B/B"));
  EXPECT_THAT(resolved.values, testing::ElementsAre(testing::Pair("A", "given"), testing::Pair("B", "answer to B"),
                                                    testing::Pair("C", "other"), testing::Pair("NEW", "more")));
}

TEST_F(Env, nobody_is_asked_for_a_secret_before_a_known_error) {
  const Manifest manifest = with("env: {A: \"?First\", B: \"${BB_TEST_UNSET}\"}\n");
  bool asked = false;
  EXPECT_THROW(static_cast<void>(resolve_env(manifest, {},
                                             [&asked](const std::string&, const std::string&) {
                                               asked = true;
                                               return std::string();
                                             })),
               Failure);
  EXPECT_FALSE(asked);
}

TEST_F(Env, a_dotenv_file_is_read_and_its_credentials_are_left_out) {
  write(sources_.home.bottles() / "dev.env",
        "\xEF\xBB\xBF# comment\r\n\r\nPLAIN=a b # note\r\nexport EXPORTED=1\nSINGLE='a $x \\n'\nDOUBLE=\"a\\nb "
        "\\\"c\\\" \\$ \\z\" # note\n"
        "EMPTY=\nHASH=a#b\nAPI_KEY=k\nMY_TOKEN=t\nthe_secret=s\nDB_PASSWORD_FILE=p\nPASSWORDS=q\nKEYBOARD=us\nPLAIN2 = "
        "x=y \nTOKEN_URL=u\n");
  const Manifest manifest = with("env_file: dev.env\nenv: {EXPORTED: mine}\n");
  const ResolvedEnv resolved = resolve_env(manifest, {}, {});
  EXPECT_THAT(resolved.values,
              testing::UnorderedElementsAre(
                  testing::Pair("PLAIN", "a b"), testing::Pair("EXPORTED", "mine"), testing::Pair("SINGLE", "a $x \\n"),
                  testing::Pair("DOUBLE", "a\nb \"c\" $ \\z"), testing::Pair("EMPTY", ""), testing::Pair("HASH", "a#b"),
                  testing::Pair("KEYBOARD", "us"), testing::Pair("PLAIN2", "x=y"), testing::Pair("TOKEN_URL", "u")));
  EXPECT_THAT(resolved.skipped,
              testing::UnorderedElementsAre("API_KEY", "MY_TOKEN", "the_secret", "DB_PASSWORD_FILE", "PASSWORDS"));
}

TEST_F(Env, a_bad_dotenv_file_is_told_by_line_and_never_quoted) {
  write(sources_.home.bottles() / "dev.env", "A=1\nsk-SECRET\nB-C=SECRET\nD='SECRET\nE=\"x\" SECRET\n");
  const Manifest manifest = with("env_file: dev.env\n");
  const std::string faults = faults_of([&] { static_cast<void>(resolve_env(manifest, {}, {})); });
  EXPECT_EQ(faults,
            "dev.env:2:1: not a NAME=value line\n"
            "dev.env:3:1: the text before '=' is not a variable's name\n"
            "dev.env:4:1: D: the quote is not closed on its line\n"
            "dev.env:5:1: E: text after the closing quote");
}

TEST_F(Env, a_missing_dotenv_file_is_an_error_at_its_key) {
  const Manifest manifest = with("env_file: none.env\n");
  EXPECT_THAT(faults_of([&] { static_cast<void>(resolve_env(manifest, {}, {})); }),
              testing::StartsWith("b.md:2:11: env_file: "));
}

TEST_F(Env, names_that_look_like_credentials) {
  for (const char* name : {"API_KEY", "GITHUB_TOKEN", "client_secret", "PGPASSWORD", "PASSWORD", "Password_Hint"})
    EXPECT_TRUE(looks_like_credential(name)) << name;
  for (const char* name : {"KEY", "TOKENS", "KEY_ID", "SECRETARY", "PATH"})
    EXPECT_FALSE(looks_like_credential(name)) << name;
}

}  // namespace
}  // namespace bot_bottle::manifest
