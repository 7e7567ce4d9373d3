// How fast the DLP engine reads: one core, default rules, five secrets. Bar (spec 04): clean text at 1 GB/s or more.
#include <benchmark/benchmark.h>

#include <array>
#include <string>
#include <vector>

#include "sidecar/dlp/rule_samples.hpp"
#include "sidecar/dlp/scanner.hpp"

using namespace bot_bottle;       // NOLINT(google-build-using-namespace)
using namespace bot_bottle::dlp;  // NOLINT(google-build-using-namespace)

namespace {

constexpr std::size_t body_octets = std::size_t{4} << 20;
constexpr std::size_t read_octets = std::size_t{64} << 10;

std::vector<std::string> secret_values() {
  return {expand_sample("{{40:alnum}}", 1).value(), expand_sample("{{24:base64}}", 2).value(),
          expand_sample("sk-ant-{{93:base64url}}", 3).value(), expand_sample("{{32:hex}}", 4).value(),
          expand_sample("{{20:alnum}}", 5).value()};
}
std::shared_ptr<const KnownSecrets> make_secrets() {
  static constexpr std::array names{"A", "B", "C", "D", "E"};
  const std::vector<std::string> values = secret_values();
  std::vector<KnownSecret> secrets;
  for (std::size_t i = 0; i < names.size(); ++i) secrets.push_back({names[i], values[i]});
  return KnownSecrets::create(secrets).value();
}
const std::shared_ptr<const Rules>& rules() {
  static const std::shared_ptr<const Rules> shipped = Rules::compile(BB_RULES_DIR).value();
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
std::string sparse_escapes() {
  return repeat(std::string(600, 'a') + "%41");
}
std::string deep_escapes() {
  return repeat("%25252541&#x25;u0041\\u0025u0041 ");
}
std::string spaces() {
  return repeat("a" + std::string(60, ' '));
}

void scan_stream(benchmark::State& state, std::string (*make)(), Detectors detectors) {
  const std::string body = make();
  const auto secrets = make_secrets();
  std::string released;
  for (auto _ : state) {
    Stream stream(rules(), secrets, detectors);
    for (std::size_t at = 0; at < body.size(); at += read_octets) {
      released.clear();
      if (stream.write(std::string_view(body).substr(at, read_octets), released)) state.SkipWithError("found");
    }
    if (stream.finish(released)) state.SkipWithError("found");
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(body.size()));
}
constexpr Detectors both{};
constexpr Detectors only_rules{.token_patterns = true, .known_secrets = false};
constexpr Detectors only_known{.token_patterns = false, .known_secrets = true};
BENCHMARK_CAPTURE(scan_stream, prose, prose, both);
BENCHMARK_CAPTURE(scan_stream, prose_rules, prose, only_rules);
BENCHMARK_CAPTURE(scan_stream, prose_known, prose, only_known);
BENCHMARK_CAPTURE(scan_stream, json_code, json_code, both);
BENCHMARK_CAPTURE(scan_stream, json_code_rules, json_code, only_rules);
BENCHMARK_CAPTURE(scan_stream, base64, base64_text, both);
BENCHMARK_CAPTURE(scan_stream, percent, escaped, both);
BENCHMARK_CAPTURE(scan_stream, cyrillic, cyrillic, both);
BENCHMARK_CAPTURE(scan_stream, adversarial_sparse_escapes, sparse_escapes, both);
BENCHMARK_CAPTURE(scan_stream, adversarial_deep_escapes, deep_escapes, both);
BENCHMARK_CAPTURE(scan_stream, adversarial_spaces, spaces, both);

void set_up_five_secrets(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(make_secrets());
}
BENCHMARK(set_up_five_secrets)->Unit(benchmark::kMillisecond);

void scan_request_head(benchmark::State& state) {
  const auto secrets = make_secrets();
  const std::string head =
      "POST /v1/messages?beta=true\naccept: application/json\ncontent-type: application/json\nuser-agent: "
      "cli/2.1.197 (external, cli)\nx-request-id: 6f1c2d3e-aaaa-bbbb-cccc-000000000000\naccept-language: *\n";
  for (auto _ : state) benchmark::DoNotOptimize(scan(*rules(), *secrets, {}, head));
}
BENCHMARK(scan_request_head);

}  // namespace

BENCHMARK_MAIN();
