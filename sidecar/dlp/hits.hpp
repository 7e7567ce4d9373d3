// What a scan of one contiguous text finds, and how it is shown. Internal to sidecar/dlp.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/dlp/known_secrets.hpp"
#include "sidecar/dlp/rules.hpp"

namespace bot_bottle::dlp {

/// Either a rule or a pattern of a known secret; both null: the engine failed, which counts as a find.
struct Hit {
  std::size_t begin = 0;
  std::size_t end = 0;
  const Rule* rule = nullptr;
  const KnownSecrets::State::Pattern* pattern = nullptr;
};

enum class Extent : std::uint8_t { first, all };

/// Hits of one view. `Extent::first` stops at the first one.
std::vector<Hit> find_hits(const Rules::State& rules, const KnownSecrets::State& secrets, Detectors detectors,
                           std::string_view text, Extent extent);

/// Begin and end of every secret in `text`, percent escapes seen through, merged and in order. The end of a rule's hit
/// goes on over the characters tokens are made of, or to the rule's `through`.
std::vector<Located> find_secret_ranges(const Rules::State& rules, const KnownSecrets::State& secrets,
                                        std::string_view text);

/// How a region stands in the whole: `open`: more text follows that is not here, so its last word may be half a secret.
enum class Edge : std::uint8_t { open, closed };

/// ±24 characters around `hit` with every secret replaced.
std::string make_snippet(const Rules::State& rules, const KnownSecrets::State& secrets, std::string_view region,
                         Located hit, Edge right);

Finding make_finding(const KnownSecrets::State& secrets, const Hit& hit, std::string_view view);

inline constexpr std::size_t snippet_margin = 24;
inline constexpr std::string_view mask = "********";

}  // namespace bot_bottle::dlp
