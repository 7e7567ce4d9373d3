// How fast what goes out is scanned: one core, default rules, the way of a request's body (BodyGuard: rules, known
// secrets, fragments, financial). Bars (spec 04): clean text at 1 GB/s or more; scenario D's body.
// Linearity is read off the last tables: body sizes, numbers of rules, numbers of secrets.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/text.hpp"
#include "sidecar/dlp/rule_samples.hpp"
#include "sidecar/dlp/scanner.hpp"
#include "sidecar/egress/body_guard.hpp"

using namespace bot_bottle;       // NOLINT(google-build-using-namespace)
using namespace bot_bottle::dlp;  // NOLINT(google-build-using-namespace)

namespace {

constexpr std::size_t body_octets = std::size_t{4} << 20;
constexpr std::size_t read_octets = std::size_t{64} << 10;

std::shared_ptr<const KnownSecrets> make_secrets(std::size_t count) {
  static constexpr std::array forms{"{{40:alnum}}", "{{24:base64}}", "sk-ant-{{93:base64url}}", "{{32:hex}}",
                                    "{{20:alnum}}"};
  std::vector<std::string> values;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) {
    values.push_back(expand_sample(forms.at(i % forms.size()), i + 1).value());
    names.push_back(fmt::format("SECRET_{}", i));
  }
  std::vector<KnownSecret> secrets;
  for (std::size_t i = 0; i < count; ++i) secrets.push_back({names[i], values[i]});
  return KnownSecrets::create(secrets).value();
}

/// The shipped rules and, up to `count` in all, rules of the same kinds that a person could add.
std::shared_ptr<const Rules> make_rules(std::size_t count) {
  const auto shipped = Rules::compile(BB_RULES_DIR).value();
  if (count <= shipped->count()) return shipped;
  OwnRules own{.text = "[extend]\nuseDefault = true\n", .file = "bench.toml"};
  for (std::size_t i = 0; i < count - shipped->count(); ++i) {
    const std::string word = to_lower(expand_sample("{{5:alnum}}", 1000 + i).value());
    own.text += fmt::format("[[rules]]\nid = \"own-{}\"\ndescription = \"own\"\nregex = '''{}'''\n", i,
                            i % 3 == 0   ? fmt::format("\\b{}_[A-Za-z0-9]{{32}}", word)
                            : i % 3 == 1 ? fmt::format("\\b{}-[0-9a-f]{{40}}\\b", word)
                                         : fmt::format("(?i){}[_-]token['\"]?[ \\t]{{0,4}}[:=][ \\t]{{0,4}}"
                                                       "['\"]?([a-z0-9]{{32,64}})",
                                                       word));
  }
  return Rules::compile(BB_RULES_DIR, own).value();
}
const std::shared_ptr<const Rules>& rules() {
  // From the cache, as a sidecar does, so that a profile shows scanning and not compiling.
  static const std::shared_ptr<const Rules> shipped = [] {
    const std::filesystem::path cache = std::filesystem::temp_directory_path() / "dlp_bench.hsdb";
    auto loaded = Rules::load(BB_RULES_DIR, cache).value();
    (void)loaded->save(cache);
    return loaded;
  }();
  return shipped;
}

std::string repeat(std::string_view text) {
  std::string out;
  while (out.size() < body_octets) out += text;
  out.resize(body_octets);
  return out;
}
std::string prose() {
  return repeat(
      "The quick brown fox jumps over the lazy dog and walks home again, past 12 houses; nobody saw it but the "
      "neighbour's cat.\nIt had been raining since Tuesday. \"What a day\", said the fox (to itself), and slept.\n");
}
/// A call to a chat API as scenario D sends it: words, a digest now and then, a line of code, a few messages.
std::string chat(std::size_t size) {
  static constexpr std::array words{"the",      "request",
                                    "parser",   "returns",
                                    "an",       "error",
                                    "when",     "header",
                                    "is",       "missing",
                                    "and",      "then",
                                    "build",    "fails",
                                    "with",     "status",
                                    "code",     "please",
                                    "look",     "at",
                                    "this",     "function",
                                    "test",     "before",
                                    "changing", "anything",
                                    "else",     "in",
                                    "module",   "config",
                                    "key",      "token",
                                    "password", "secret",
                                    "user",     "session",
                                    "value",    "https://example.com/a/b?c=d"};
  std::uint64_t state = 42;
  const auto random = [&state] {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return static_cast<std::uint32_t>(state >> 33U);
  };
  const std::string message = R"({"role":"user","content":")";
  std::string body = R"({"model":"example-large","max_tokens":4096,"stream":false,"messages":[)" + message;
  for (int n = 1; body.size() < size; ++n) {
    if (n % 400 == 0) {
      body += R"("},)" + message;
    } else if (n % 97 == 0) {
      body += "commit ";
      for (int i = 0; i < 5; ++i) body += fmt::format("{:08x}", random());
      body += ' ';
    } else if (n % 61 == 0) {
      const std::uint32_t index = random() % 90;
      body += fmt::format("\\n    if (index_{} < count) {{ total += items[index_{}].size; }}\\n", index, index);
    } else {
      body += words.at(random() % words.size());
      body += ' ';
    }
  }
  body.resize(size - 4);
  return body + R"("}]})";
}
std::string chat_4m() {
  return chat(body_octets);
}
std::string json_code() {
  return repeat(
      R"({"role": "user", "content": "def load(path):\n    with open(path) as f:\n        return json.load(f)\n\n)"
      R"(print(load(\"settings.json\")[\"colour\"])\n"}, {"id": 1234, "done": false, "tags": ["a", "b"]}, )");
}
std::string base64_text() {
  return repeat(expand_sample("{{4096:base64}}", 6).value());
}
std::string escaped() {
  return repeat("%66%6f%78 walks %2541 home ");
}
std::string cyrillic() {
  return repeat("Съешь же ещё этих мягких французских булок, да выпей чаю. ");
}
std::string numbers() {
  return repeat("2026-11-28 15:40:52.120 4532 0151 1283 0365 17000000 0.3333, ");
}
// Hostile: each of them makes one of the shortcuts useless.
std::string sparse_escapes() {
  return repeat(std::string(600, 'a') + "%41");
}
std::string deep_escapes() {
  return repeat("%25252541&#x25;u0041\\u0025u0041 ");
}
std::string spaces() {
  return repeat("a" + std::string(60, ' '));
}
std::string tiny_fields() {
  return "[" + repeat(R"({"a":"b\u0063"},)");
}
std::string seed_words() {
  return repeat("legal winner thank year wave sausage worth useful of ");
}
std::string quotes() {
  return repeat(R"(\"\n\"password\" = \"x\\\n)");
}
std::string hex_pairs() {
  return repeat("41:42:43:44:45:46:47:48:49:4a:4b:4c:4d:4e:4f:50:51:52 ");
}

void read_all(benchmark::State& state, std::string_view body, const std::shared_ptr<const Rules>& the_rules,
              const std::shared_ptr<const KnownSecrets>& secrets, Detectors detectors,
              std::size_t piece_octets = read_octets) {
  Fragments fragments(secrets, [] { return 1000; });
  if (detectors.known_secrets) detectors.fragments = &fragments;
  std::string released;
  for (auto _ : state) {
    egress::BodyGuard guard(the_rules, secrets, detectors, std::nullopt, policy::OnUnscannable::block);
    for (std::size_t at = 0; at < body.size(); at += piece_octets) {
      released.clear();
      if (guard.write(body.substr(at, piece_octets), released)) state.SkipWithError("found");
    }
    if (guard.finish(released)) state.SkipWithError("found");
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(body.size()));
}

constexpr Detectors all{.financial = true};
constexpr Detectors only_rules{.token_patterns = true, .known_secrets = false};
constexpr Detectors only_known{.token_patterns = false, .known_secrets = true};
constexpr Detectors only_financial{.token_patterns = false, .known_secrets = false, .financial = true};

void scan_text(benchmark::State& state, std::string (*make)(), Detectors detectors) {
  read_all(state, make(), rules(), make_secrets(5), detectors);
}
BENCHMARK_CAPTURE(scan_text, prose, prose, all);
BENCHMARK_CAPTURE(scan_text, prose_rules, prose, only_rules);
BENCHMARK_CAPTURE(scan_text, prose_known, prose, only_known);
BENCHMARK_CAPTURE(scan_text, prose_financial, prose, only_financial);
BENCHMARK_CAPTURE(scan_text, chat, chat_4m, all);
BENCHMARK_CAPTURE(scan_text, chat_rules, chat_4m, only_rules);
BENCHMARK_CAPTURE(scan_text, chat_known, chat_4m, only_known);
BENCHMARK_CAPTURE(scan_text, chat_financial, chat_4m, only_financial);
BENCHMARK_CAPTURE(scan_text, json_code, json_code, all);
BENCHMARK_CAPTURE(scan_text, json_code_rules, json_code, only_rules);
BENCHMARK_CAPTURE(scan_text, base64, base64_text, all);
BENCHMARK_CAPTURE(scan_text, base64_rules, base64_text, only_rules);
BENCHMARK_CAPTURE(scan_text, percent, escaped, all);
BENCHMARK_CAPTURE(scan_text, cyrillic, cyrillic, all);
BENCHMARK_CAPTURE(scan_text, numbers, numbers, all);
BENCHMARK_CAPTURE(scan_text, hostile_sparse_escapes, sparse_escapes, all);
BENCHMARK_CAPTURE(scan_text, hostile_deep_escapes, deep_escapes, all);
BENCHMARK_CAPTURE(scan_text, hostile_spaces, spaces, all);
BENCHMARK_CAPTURE(scan_text, hostile_tiny_fields, tiny_fields, all);
BENCHMARK_CAPTURE(scan_text, hostile_seed_words, seed_words, all);
BENCHMARK_CAPTURE(scan_text, hostile_quotes, quotes, all);
BENCHMARK_CAPTURE(scan_text, hostile_hex_pairs, hex_pairs, all);

/// Scenario D's request: 64 KiB, in pieces as TLS records bring them.
void request_body(benchmark::State& state) {
  const std::string body = chat(std::size_t{64} << 10);
  read_all(state, body, rules(), make_secrets(5), all, static_cast<std::size_t>(state.range(0)));
}
BENCHMARK(request_body)->Arg(4096)->Arg(16384)->Arg(65536)->Unit(benchmark::kMicrosecond);

void body_size(benchmark::State& state) {
  const std::string body = chat(static_cast<std::size_t>(state.range(0)));
  read_all(state, body, rules(), make_secrets(5), all);
}
BENCHMARK(body_size)->RangeMultiplier(8)->Range(4 << 10, 16 << 20);

void number_of_rules(benchmark::State& state) {
  read_all(state, chat_4m(), make_rules(static_cast<std::size_t>(state.range(0))), make_secrets(5), all);
}
BENCHMARK(number_of_rules)->Arg(150)->Arg(500)->Arg(1000);

void number_of_secrets(benchmark::State& state) {
  read_all(state, chat_4m(), rules(), make_secrets(static_cast<std::size_t>(state.range(0))), all);
}
BENCHMARK(number_of_secrets)->Arg(5)->Arg(100);

void set_up_five_secrets(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(make_secrets(5));
}
BENCHMARK(set_up_five_secrets)->Unit(benchmark::kMillisecond);

void scan_request_head(benchmark::State& state) {
  const auto secrets = make_secrets(5);
  const std::string head =
      "POST /v1/messages?beta=true\naccept: application/json\ncontent-type: application/json\nuser-agent: "
      "cli/2.1.197 (external, cli)\nx-request-id: 6f1c2d3e-aaaa-bbbb-cccc-000000000000\naccept-language: *\n";
  for (auto _ : state) benchmark::DoNotOptimize(scan(*rules(), *secrets, {}, head));
}
BENCHMARK(scan_request_head);

}  // namespace

BENCHMARK_MAIN();
