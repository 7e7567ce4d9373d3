// Every kind of bad document with the exact text that the operator reads: bad_bottles.txt and bad_agents.txt hold the
// documents and what is said about them.
#include "tests/unit/core/manifest/fixture.hpp"

namespace bot_bottle::manifest {
namespace {

struct Case {
  std::string name;
  std::string document;
  std::string expected;
};

std::vector<Case> cases_of(const std::string& file) {
  std::ifstream input(std::string(BB_SOURCE_DIR) + "/tests/unit/core/manifest/" + file);
  std::vector<Case> cases;
  bool expecting = false;
  for (std::string line; std::getline(input, line);) {
    if (line == "#### expect") {
      expecting = true;
    } else if (line.starts_with("#### ")) {
      cases.push_back({line.substr(5), {}, {}});
      expecting = false;
    } else if (expecting) {
      cases.back().expected += (cases.back().expected.empty() ? "" : "\n") + line;
    } else {
      cases.back().document += line + "\n";
    }
  }
  return cases;
}

using BadDocuments = ManifestTest;

TEST_F(BadDocuments, every_bad_bottle_is_refused_with_its_places_and_what_is_accepted) {
  const auto cases = cases_of("bad_bottles.txt");
  EXPECT_GE(cases.size(), 60U);
  for (const Case& bad : cases) {
    SCOPED_TRACE(bad.name);
    EXPECT_FALSE(bad.expected.empty());
    EXPECT_EQ(bottle_faults(bad.document), bad.expected);
  }
}

TEST_F(BadDocuments, every_bad_agent_is_refused_with_its_places_and_what_is_accepted) {
  for (const Case& bad : cases_of("bad_agents.txt")) {
    SCOPED_TRACE(bad.name);
    EXPECT_FALSE(bad.expected.empty());
    EXPECT_EQ(agent_faults(bad.document), bad.expected);
  }
}

TEST_F(BadDocuments, bad_documents_have_the_same_faults_with_crlf) {
  for (const Case& bad : cases_of("bad_bottles.txt")) {
    SCOPED_TRACE(bad.name);
    std::string document;
    for (const char c : bad.document) document += c == '\n' ? std::string("\r\n") : std::string(1, c);
    EXPECT_EQ(bottle_faults(document), bad.expected);
  }
}

TEST_F(BadDocuments, bytes_that_are_not_text_are_refused_where_they_stand) {
  using namespace std::string_literals;
  EXPECT_EQ(bottle_faults("---\nbackend: local\n---\nnotes\nhere \0 it is"s),
            "b.md:5:6: a NUL byte\n  manifests are text");
  EXPECT_EQ(bottle_faults("---\nbackend: local\n---\n\xC3\xA4 \xFF"),
            "b.md:4:3: not valid UTF-8\n  save the file as UTF-8");
  EXPECT_EQ(bottle_faults("---\nbackend: \"lo\xED\xA0\x80\"\n---\n"),
            "b.md:2:13: not valid UTF-8\n  save the file as UTF-8");
  EXPECT_EQ(bottle_faults("---\nbackend: local\x04\nsupervise: 7\n---\n"),
            "b.md:2:15: a control character\n  write it as an escape in a double-quoted string");
  EXPECT_EQ(bottle_faults("+++\nbackend = 'a\xC2\x85'\n+++\n"),
            "b.md:2:13: a control character\n  write it as an escape in a double-quoted string");
  EXPECT_EQ(bottle_faults("---\nbackend: local\xE2\x80\xA8# supervise: false\n---\n"),
            "b.md:2:15: a control character\n  write it as an escape in a double-quoted string");
  EXPECT_EQ(bottle_faults("---\nbackend: local\rsupervise: false\n---\n"),
            "b.md:2:15: a carriage return without a line feed\n  end lines with LF or CR LF");
}

TEST_F(BadDocuments, a_file_over_one_mebibyte_is_refused_and_one_just_below_is_read) {
  const std::string head = "---\nbackend: local\n---\n";
  EXPECT_EQ(bottle_faults(head + std::string((1U << 20U) - head.size() + 1, 'x')),
            "b.md: the file is larger than 1 MiB");
  EXPECT_EQ(bottle_faults(head + std::string((1U << 20U) - head.size(), 'x')), "");
  EXPECT_EQ(bottle_faults("---\n#" + std::string(300'000, 'x') + "\n---\n"),
            "b.md:1:1: the front matter is larger than 256 KiB");
}

TEST_F(BadDocuments, a_token_pasted_where_its_name_belongs_is_not_shown) {
  const std::string faults = bottle_faults(
      "---\nagent_provider: {auth_token: sk-ant-0123-SECRET}\n"
      "git-gate: {repos: {a: {url: \"https://u:p-SECRET@h.example/a\", auth: {token_ref: ghp-SECRET}}}}\n---\n");
  EXPECT_NE(faults, "");
  EXPECT_EQ(faults.find("SECRET"), std::string::npos) << faults;
}

TEST_F(BadDocuments, a_failure_counts_the_faults_and_says_what_to_do) {
  bottle("b", "---\nbackend: 1\nsupervise: 2\n---\n");
  try {
    static_cast<void>(load_bottle(sources_, "b"));
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::invalid_argument);
    EXPECT_EQ(failure.error().message, "bottle 'b' has 2 faults");
    EXPECT_EQ(failure.error().hint, "correct the file; 'bot-bottle config check' lists the faults of every file");
  }
}

TEST_F(BadDocuments, an_unknown_name_is_not_found_and_the_nearest_is_offered) {
  bottle("dev", "---\n---\n");
  agent("reviewer", "---\nbottle: dev\n---\n");
  const auto error_of = [](const auto& call) {
    try {
      call();
    } catch (const Failure& failure) {
      return failure.error();
    }
    return Error{};
  };
  const Error agent_error = error_of([this] { static_cast<void>(load(sources_, "reviewr", std::nullopt)); });
  EXPECT_EQ(agent_error.kind, ErrorKind::not_found);
  EXPECT_EQ(agent_error.message, "no agent named 'reviewr'");
  EXPECT_EQ(agent_error.details,
            "looked in: ~/.bot-bottle/agents"
            "\ndid you mean: reviewer");
  EXPECT_EQ(agent_error.hint, "bot-bottle list agents");
  for (const char* name : {"prod", "../agents/reviewer"}) {
    const Error error = error_of([&] { static_cast<void>(load_bottle(sources_, name)); });
    EXPECT_EQ(error.message, "no bottle named '" + std::string(name) + "'");
    EXPECT_EQ(error.details, "looked in: ~/.bot-bottle/bottles");
    EXPECT_EQ(error.hint, "bot-bottle list bottles");
  }
  EXPECT_EQ(error_of([this] { static_cast<void>(load(sources_, "reviewer", "prod")); }).message,
            "no bottle named 'prod'");
  std::filesystem::remove_all(sources_.home.agents());
  EXPECT_EQ(error_of([this] { static_cast<void>(load(sources_, "x", std::nullopt)); }).hint, "bot-bottle init");
}

TEST_F(BadDocuments, faults_of_the_agent_and_its_bottles_are_told_together) {
  bottle("base", "---\nbackend: [x]\n---\n");
  bottle("dev", "---\nextends: base\nsupervise: 1\n---\n");
  agent("a", "---\nbottle: dev\nskils: []\n---\n");
  EXPECT_EQ(faults_of([this] { static_cast<void>(load(sources_, "a", std::nullopt)); }),
            "a.md:3:1: skils: unknown key\n  did you mean 'skills'?\n"
            "base.md:2:10: backend: found a list, expected a backend's name\n"
            "dev.md:3:12: supervise: 1 is a number, expected true or false");
}

}  // namespace
}  // namespace bot_bottle::manifest
