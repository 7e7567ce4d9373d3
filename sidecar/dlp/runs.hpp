// Runs of base64, base32 and hex digits, and what they say. Secrets encoded so are patterns of their own; here it is
// about what is disguised a second time inside: escapes, separators, other alphabets. Internal to sidecar/dlp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bot_bottle::dlp {

/// Shorter ones say too little to hold a secret that is escaped as well.
inline constexpr std::size_t min_run_octets = 32;

/// The digits of one run, line breaks left out.
struct Run {
  std::size_t begin = 0;  // in the text
  std::size_t end = 0;
  std::string digits;
  struct Line {
    std::size_t digit = 0;
    std::size_t at = 0;  // in the text
  };
  std::vector<Line> lines;
  /// Where a digit stands in the text.
  [[nodiscard]] std::size_t origin_of(std::size_t digit) const;
};
/// A place in the first run of min_run_octets digits or more that goes on at or after `from`; npos when there is none.
std::size_t find_run(std::string_view text, std::size_t from);
/// The run around text[at]; MIME's line breaks do not end it, written as "\n" neither. `run` is written over: who reads
/// many of them pays once for the memory.
void read_run(std::string_view text, std::size_t at, Run& run);

/// The same for hex digits in pairs with a sign or two between, always the same: "41:42:43", "41, 42".
inline constexpr std::size_t min_pairs = 16;
std::size_t find_pairs(std::string_view text, std::size_t from);
Run read_pairs(std::string_view text, std::size_t at);

struct DecodedRun {
  std::string text;
  unsigned bits = 6;        // of a digit
  std::size_t offset = 0;   // digits left out at the begin
  std::size_t skipped = 0;  // octets after them
  /// The digit that octet `at` begins in.
  [[nodiscard]] std::size_t digit_of(std::size_t at) const { return offset + (skipped + at) * 8 / bits; }
  [[nodiscard]] std::string_view name() const { return bits == 6 ? "base64" : bits == 5 ? "base32" : "hex"; }
};
/// What the digits say that seems to be text, in each alphabet and alignment. Not by samples: which octets are looked
/// at must not depend on where a piece of a stream happens to begin.
std::vector<DecodedRun> decode_run(std::string_view digits);

/// The value of a digit; -1 when it is none.
int digit_value(char c, unsigned bits);

}  // namespace bot_bottle::dlp
