// How fast known secrets are taken out of answers: one core, five secrets, reads of 64 KiB as the proxy does them. Each
// kind of text in two sizes, so that it can be read off that the cost is linear.
#include <benchmark/benchmark.h>

#include <array>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "sidecar/dlp/rule_samples.hpp"
#include "sidecar/dlp/scanner.hpp"

using namespace bot_bottle;       // NOLINT(google-build-using-namespace)
using namespace bot_bottle::dlp;  // NOLINT(google-build-using-namespace)

namespace {

constexpr std::size_t read_octets = std::size_t{64} << 10;

const std::shared_ptr<const KnownSecrets>& five_secrets() {
  static const std::shared_ptr<const KnownSecrets> all = [] {
    std::vector<std::string> names;
    std::vector<std::string> values;
    for (unsigned i = 0; i < 5; ++i) {
      names.push_back("SECRET_" + std::to_string(i));
      values.push_back(expand_sample("{{32:alnum}}", i + 1).value());
    }
    std::vector<KnownSecret> secrets;
    for (std::size_t i = 0; i < names.size(); ++i) secrets.push_back({names[i], values[i]});
    return KnownSecrets::create(secrets).value();
  }();
  return all;
}

std::string prose() {
  std::stringstream text;
  text << std::ifstream(std::string(BB_SOURCE_DIR) + "/tests/unit/sidecar/dlp/benign.txt").rdbuf();
  return text.str();
}
std::string json() {
  return R"({"id": 17, "name": "a thing", "tags": ["x", "y\n"], "text": "some words about it, \"so\" said"}, )";
}
std::string html() {
  return "<div class=\"row\"><a href=\"/docs/a?b=1&amp;c=2\">Read the guide</a> &mdash; 12 steps</div>\n";
}
std::string minified() {
  return "!function(e,t){for(var n=0;n<t.length;n++){var r=t[n];r.enumerable=r.enumerable||!1,e[r.key]=r}}(a,b);";
}
std::string utf8() {
  return "Съешь же ещё этих мягких французских булок, да выпей чаю. 你好，世界 ";
}
std::string base64() {
  return expand_sample("{{4096:base64}}", 6).value();
}
std::string percent() {
  return "%66%6f%78 walks %2541 home ";
}
std::string half_secrets() {
  return expand_sample("{{32:alnum}}", 1).value().substr(0, 30) + " ";
}

void scrub(benchmark::State& state, std::string (*make)()) {
  const std::string piece = make();
  const auto size = static_cast<std::size_t>(state.range(0));
  std::string text;
  while (text.size() < size) text += piece;
  text.resize(size);
  std::string released;
  for (auto _ : state) {
    Scrubber scrubber(five_secrets());
    for (std::size_t at = 0; at < text.size(); at += read_octets) {
      released.clear();
      benchmark::DoNotOptimize(scrubber.write(std::string_view(text).substr(at, read_octets), released));
    }
    benchmark::DoNotOptimize(scrubber.finish(released));
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(size));
}
#define SIZES Arg(64 << 10)->Arg(1 << 20)->Unit(benchmark::kMicrosecond)
BENCHMARK_CAPTURE(scrub, prose, prose)->SIZES;
BENCHMARK_CAPTURE(scrub, json, json)->SIZES;
BENCHMARK_CAPTURE(scrub, html, html)->SIZES;
BENCHMARK_CAPTURE(scrub, minified, minified)->SIZES;
BENCHMARK_CAPTURE(scrub, utf8, utf8)->SIZES;
BENCHMARK_CAPTURE(scrub, base64, base64)->SIZES;
BENCHMARK_CAPTURE(scrub, hostile_percent, percent)->SIZES;
BENCHMARK_CAPTURE(scrub, hostile_half_secrets, half_secrets)->SIZES;

}  // namespace

BENCHMARK_MAIN();
