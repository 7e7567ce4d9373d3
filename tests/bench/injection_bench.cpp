// Injection detection of one answer (bar: 10 KB in 0.05 ms). Texts: prose, JSON with many marks and escapes, UTF-8 that
// is folded character by character, and octets that are no text.
#include <benchmark/benchmark.h>

#include <fstream>
#include <sstream>

#include "sidecar/dlp/injection.hpp"

namespace {

using bot_bottle::dlp::Folder;
using bot_bottle::dlp::InjectionPhrases;
using bot_bottle::dlp::InjectionStream;

const std::shared_ptr<const InjectionPhrases>& phrases() {
  static const auto all = *InjectionPhrases::compile(std::filesystem::path(BB_SOURCE_DIR) / "core/policy/injection");
  return all;
}

std::string prose() {
  std::stringstream text;
  text << std::ifstream(std::filesystem::path(BB_SOURCE_DIR) / "tests/unit/sidecar/dlp/benign.txt").rdbuf();
  return text.str();
}

std::string sized(std::string text, std::size_t size) {
  while (text.size() < size) text += text;
  text.resize(size);
  return text;
}

void scan(benchmark::State& state, const std::string& text) {
  (void)phrases();  // compiled once, not measured
  for (auto _ : state) {
    InjectionStream stream(phrases(), Folder::Quotes::speak);
    benchmark::DoNotOptimize(stream.write(text));
    benchmark::DoNotOptimize(stream.finish());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(text.size()));
}

void prose_10_kb(benchmark::State& state) {
  scan(state, sized(prose(), 10240));
}
void json_10_kb(benchmark::State& state) {
  scan(state,
       sized(R"({"id": 17, "name": "a thing", "tags": ["x", "y\n"], "text": "some words about it, \"so\" said"}, )",
             10240));
}
void utf8_10_kb(benchmark::State& state) {
  scan(state,
       sized("\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82, \xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80 ", 10240));
}
std::string octets() {
  std::string text(1 << 16, '\0');
  unsigned seed = 1;
  for (char& c : text) c = static_cast<char>((seed = seed * 1664525U + 1013904223U) >> 24U);
  return text;
}
std::string base64() {
  std::string text = octets();
  for (char& c : text)
    c = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[static_cast<unsigned char>(c) & 63U];
  return text;
}
std::string html() {
  return "<div class=\"row\"><a href=\"/docs/a?b=1&amp;c=2\">Read the guide</a> &mdash; 12 steps</div>\n";
}
std::string minified() {
  return "!function(e,t){for(var n=0;n<t.length;n++){var r=t[n];r.enumerable=r.enumerable||!1,e[r.key]=r}}(a,b);";
}
std::string anchors() {
  return "ignore token prompt ";  // everywhere, and no phrase
}
std::string escapes() {
  return "\\u0061&#98;\\n";
}
std::string common_words() {
  return "The quick brown fox jumps over the lazy dog and walks home again, past 12 houses; nobody saw it but the "
         "cat.\n";
}
/// Each in two sizes, so that it can be read off that the cost is linear.
void text_of(benchmark::State& state, std::string (*make)()) {
  scan(state, sized(make(), static_cast<std::size_t>(state.range(0))));
}
#define SIZES Arg(64 << 10)->Arg(1 << 20)->Unit(benchmark::kMicrosecond)
BENCHMARK_CAPTURE(text_of, words, common_words)->SIZES;
BENCHMARK_CAPTURE(text_of, html, html)->SIZES;
BENCHMARK_CAPTURE(text_of, minified, minified)->SIZES;
BENCHMARK_CAPTURE(text_of, base64, base64)->SIZES;
BENCHMARK_CAPTURE(text_of, octets, octets)->SIZES;
BENCHMARK_CAPTURE(text_of, hostile_anchors, anchors)->SIZES;
BENCHMARK_CAPTURE(text_of, hostile_escapes, escapes)->SIZES;
BENCHMARK(prose_10_kb)->Unit(benchmark::kMicrosecond);
BENCHMARK(json_10_kb)->Unit(benchmark::kMicrosecond);
BENCHMARK(utf8_10_kb)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
