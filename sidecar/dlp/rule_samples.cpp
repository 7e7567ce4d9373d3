#include "sidecar/dlp/rule_samples.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <utility>

namespace bot_bottle::dlp {
namespace {

#define BB_LOWER "abcdefghijklmnopqrstuvwxyz"
#define BB_UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define BB_DIGIT "0123456789"
constexpr std::array<std::pair<std::string_view, std::string_view>, 10> alphabets{{
    {"alnum", BB_LOWER BB_UPPER BB_DIGIT},
    {"lower", BB_LOWER},
    {"upper", BB_UPPER},
    {"upnum", BB_UPPER BB_DIGIT},
    {"lownum", BB_LOWER BB_DIGIT},
    {"digit", BB_DIGIT},
    {"hex", BB_DIGIT "abcdef"},
    {"HEX", BB_DIGIT "ABCDEF"},
    {"base64", BB_UPPER BB_LOWER BB_DIGIT "+/"},
    {"base64url", BB_UPPER BB_LOWER BB_DIGIT "-_"},
}};

std::uint64_t next(
    std::uint64_t& state) {  // SplitMix64: repeatable everywhere, which std::uniform_int_distribution is not
  state += 0x9e3779b97f4a7c15U;
  std::uint64_t z = state;
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31U);
}

}  // namespace

Result<std::string> expand_sample(std::string_view text, std::uint64_t seed) {
  std::string out;
  while (true) {
    const std::size_t open = text.find("{{");
    out += text.substr(0, open);
    if (open == std::string_view::npos) return out;
    const std::size_t close = text.find("}}", open);
    if (close == std::string_view::npos) return fail(ErrorKind::invalid_argument, "a sample has '{{' without '}}'");
    const std::string_view inside = text.substr(open + 2, close - open - 2);
    text.remove_prefix(close + 2);
    if (inside == "-") continue;
    const std::size_t colon = inside.find(':');
    std::size_t count = 0;
    std::string_view alphabet;
    if (colon != std::string_view::npos) {
      std::from_chars(inside.data(), inside.data() + colon, count);
      for (const auto& [name, letters] : alphabets)
        if (name == inside.substr(colon + 1)) alphabet = letters;
    }
    if (count == 0 || count > 4096 || alphabet.empty())
      return fail(ErrorKind::invalid_argument,
                  fmt::format("a sample has '{{{{{}}}}}', which is not <count>:<alphabet>", inside));
    while (count-- > 0) out += alphabet[next(seed) % alphabet.size()];
  }
}

}  // namespace bot_bottle::dlp
