// The folded view of a text: its letters (lower case) and digits alone. White space, zero-width characters, NULs of
// UTF-16, separators between hex digits, line breaks in base64 and lost case are all gone from it, so one pattern
// stands for all of these spellings. Internal to sidecar/dlp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bot_bottle::dlp {

/// Stands in a skeleton where more than max_gap_octets were left out: no match goes across it.
inline constexpr char barrier = '\0';
/// Bounds how much of a stream a match can span, and so what has to be held back.
inline constexpr std::size_t max_gap_octets = 64;

/// A letter or digit that is not the letter of a simple escape ("\n", as JSON writes a line break).
constexpr bool is_kept(char previous, char c) {
  const auto octet = static_cast<unsigned char>(c);
  const bool letter = static_cast<unsigned char>((octet | 0x20U) - 'a') < 26;
  if (!letter) return static_cast<unsigned char>(octet - '0') < 10;
  return previous != '\\' || !(c == 'n' || c == 'r' || c == 't' || c == 'b' || c == 'f' || c == 'v');
}

/// Where a text goes on after its last piece.
struct SkeletonState {
  std::size_t gap = 0;   // octets left out since the last that was kept
  char previous = '\0';  // the last octet
};

/// Appends the skeleton of `text`.
void append_skeleton(std::string& out, std::string_view text, SkeletonState& state);
/// The same octet by octet: the oracle, and what other processors run.
void append_skeleton_plainly(std::string& out, std::string_view text, SkeletonState& state);
/// All ways that this processor can do it, the fastest last; for the test that compares them.
using SkeletonMaker = void (*)(std::string& out, std::string_view text, SkeletonState& state);
std::vector<SkeletonMaker> skeleton_makers();

/// Where the kept octet begins that stands `count` characters before the end of the skeleton of `text` (barriers
/// count); 0 when there are fewer. `stop_at_barrier`: not further than the last barrier.
enum class Barriers : std::uint8_t { count, stop };
std::size_t go_back(std::string_view text, std::size_t end, std::size_t count, Barriers barriers);

}  // namespace bot_bottle::dlp
