// Which octets of a text are digits, letters and so on, 64 of them in a word: what looks for numbers and words asks
// these masks, and most of a text is never read octet by octet. Internal to sidecar/dlp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace bot_bottle::dlp {

/// Of 64 octets; the first is the lowest bit. Behind the end of a text there is nothing of any class.
struct OctetClasses {
  std::uint64_t digits = 0;
  std::uint64_t letters = 0;
  std::uint64_t upper = 0;   // of the letters
  std::uint64_t joints = 0;  // space and "-"
  std::uint64_t underscores = 0;
};

inline constexpr std::size_t class_block_octets = 64;

/// Writes one for each 64 octets begun, which `out` has room for; gives their number.
std::size_t classify_octets(std::string_view text, std::span<OctetClasses> out);
/// The same octet by octet: the oracle, and what other processors run.
std::size_t classify_octets_plainly(std::string_view text, std::span<OctetClasses> out);
/// Each way this processor can do it, the fastest first; all give the same.
using ClassifyOctets = std::size_t (*)(std::string_view text, std::span<OctetClasses> out);
std::vector<ClassifyOctets> class_ways();

}  // namespace bot_bottle::dlp
