// A repository's agent file is hostile: it can be deep, huge and crooked, and must cost little and grant nothing.
#include <sys/resource.h>

#include "core/manifest/document.hpp"
#include "core/manifest/schema.hpp"
#include "tests/unit/core/manifest/fixture.hpp"

namespace bot_bottle::manifest {
namespace {

using Hostile = ManifestTest;

std::string repeated(std::string_view part, std::size_t bytes) {
  std::string out;
  while (out.size() < bytes) out += part;
  return out;
}

TEST_F(Hostile, a_hostile_agent_file_is_bounded) {
  constexpr std::size_t size = 250'000;
  std::string bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n";
  for (char c = 'b'; c < 'z'; ++c) {
    bomb += std::string(1, c) + ": &" + c + " [";
    for (int i = 0; i < 9; ++i) bomb += std::string(i > 0 ? ", *" : "*") + static_cast<char>(c - 1);
    bomb += "]\n";
  }
  std::string steps;
  for (std::size_t i = 0; i < 400; ++i) steps += std::string(i, ' ') + "a:\n";
  std::string keys;
  for (std::size_t i = 0; keys.size() < size; ++i) keys += "k" + std::to_string(i) + ": v\n";
  std::string toml_keys;
  for (std::size_t i = 0; toml_keys.size() < size; ++i) toml_keys += "k" + std::to_string(i) + " = 1\n";
  const std::vector<std::pair<std::string, std::string>> files{
      {"alias bomb", "---\n" + bomb + "---\n"},
      {"flow lists", "---\na: " + repeated("[", size) + "\n---\n"},
      {"flow maps", "---\na: " + repeated("{a: ", size) + "\n---\n"},
      {"block steps", "---\n" + steps + "---\n"},
      {"dashes", "---\na:\n  " + repeated("- ", size) + "x\n---\n"},
      {"question marks", "---\n" + repeated("? ", size) + "\n---\n"},
      {"anchors", "---\na: " + repeated("&a ", size) + "\n---\n"},
      {"tags", "---\na: " + repeated("!a ", size) + "\n---\n"},
      {"many keys", "---\n" + keys + "---\n"},
      {"one key, often", "---\n" + repeated("a: b\n", size) + "---\n"},
      {"huge scalar", "---\nbottle: " + std::string(size, 'x') + "\n---\n"},
      {"huge key", "---\n" + std::string(size, 'x') + ": y2\n---\n"},
      {"huge quoted scalar", "---\nbottle: \"" + repeated("\\x41", size) + "\"\n---\n"},
      {"quotes", "---\na: " + repeated("\"", size) + "\n---\n"},
      {"TOML lists", "+++\na = " + repeated("[", size) + "\n+++\n"},
      {"TOML inline tables", "+++\na = " + repeated("{a=", size) + "\n+++\n"},
      {"TOML dotted key", "+++\n" + repeated("a.", size) + "a = 1\n+++\n"},
      {"TOML dotted header", "+++\n[" + repeated("a.", size) + "a]\n+++\n"},
      {"TOML quoted dotted key", "+++\n" + repeated("\"=,\".", size) + "a = 1\n+++\n"},
      {"TOML dots in nested tables", "+++\na = [" + repeated("{a.a.a.a.a.a.a.a = [", size) + "\n+++\n"},
      {"TOML many keys", "+++\n" + toml_keys + "+++\n"},
      {"TOML array tables", "+++\n" + repeated("[[a]]\n", size) + "+++\n"},
      {"prompt of a mebibyte", "---\nbottle: dev\nx: 1\n---\n" + std::string(1'000'000, 'p')},
  };
  bottle("dev", "---\n---\n");
  for (const auto& [name, text] : files) {
    SCOPED_TRACE(name);
    repository_agent("a", text);
    const std::string faults = faults_of([this] { static_cast<void>(load(sources_, "a", std::nullopt)); });
    EXPECT_FALSE(faults.empty());
    // 200 faults, each of bounded length: no terminal is flooded.
    EXPECT_LT(faults.size(), 80'000U);
  }
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  // Sanitizers keep what was freed.
#if defined(__has_feature)
#define BB_HAS_FEATURE(name) __has_feature(name)
#else
#define BB_HAS_FEATURE(name) 0
#endif
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !BB_HAS_FEATURE(address_sanitizer) && \
    !BB_HAS_FEATURE(thread_sanitizer)
  EXPECT_LT(usage.ru_maxrss, 400'000) << "KiB";
#endif
}

TEST_F(Hostile, nesting_is_refused_where_it_becomes_too_deep) {
  EXPECT_EQ(agent_faults("---\ntools: " + std::string(23, '[') + std::string(23, ']') + "\nbottle: dev\n---\n"), "");
  EXPECT_EQ(agent_faults("---\ntools: " + std::string(24, '[') + std::string(24, ']') + "\nbottle: dev\n---\n"),
            "a.md:2:31: nested deeper than 24 levels");
  EXPECT_EQ(agent_faults("+++\nbottle = 'dev'\ntools = " + std::string(23, '[') + std::string(23, ']') + "\n+++\n"),
            "");
  EXPECT_EQ(agent_faults("+++\ntools = " + std::string(25, '[') + std::string(25, ']') + "\n+++\n"),
            "a.md:2:33: nested deeper than 24 levels");
  // Dots in strings, comments and numbers nest nothing.
  const std::string dots(100, '.');
  EXPECT_EQ(
      agent_faults("+++\nbottle = 'dev' # " + dots + "\nname = \"" + dots + "\\\"" + dots + "\"\ncolor = '" + dots +
                   "'\nmemory = \"\"\"\n" + dots + "\n\"\" " + dots + "\"\"\"\"\ntools = [1.5, 2.5]\n+++\n"),
      "");
}

TEST_F(Hostile, too_many_faults_are_counted) {
  std::string text = "---\nbottle: dev\n";
  for (int i = 0; i < 1000; ++i) text += "key" + std::to_string(i) + ": v\n";
  const std::string faults = agent_faults(text + "---\n");
  EXPECT_THAT(faults, testing::HasSubstr("and 800 more"));
}

TEST_F(Hostile, an_agent_file_grants_nothing_whatever_it_says) {
  // Every key of a bottle, tried on an agent: each one alone must be refused.
  bottle("dev", "---\n---\n");
  for (const char* key : {"extends: dev", "backend: local", "agent_provider: {template: command}", "env: {A: b}",
                          "env_file: /etc/passwd", "git-gate: {}", "egress: {}", "supervise: false", "resources: {}",
                          "workspace: {mode: mount}", "post_init: []", "local: {bind_ro: [/]}", "\"egress\": {}",
                          "\"\\x65gress\": {}", "dockerfile: /x", "command: [x]", "auth_token: T"}) {
    repository_agent("a", std::string("---\nbottle: dev\n") + key + "\n---\n");
    EXPECT_THROW(static_cast<void>(load(sources_, "a", std::nullopt)), Failure) << key;
  }
}

}  // namespace
}  // namespace bot_bottle::manifest
