// The bottle's secrets as patterns. Internal to sidecar/dlp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/secret.hpp"
#include "sidecar/dlp/encodings.hpp"
#include "sidecar/dlp/gram_index.hpp"
#include "sidecar/dlp/scanner.hpp"
#include "sidecar/dlp/skeleton.hpp"

namespace bot_bottle::dlp {

/// Secrets longer than a piece become several overlapping patterns, so that the window stays small and a part is found
/// too.
inline constexpr std::size_t max_piece_octets = 64;
inline constexpr std::size_t piece_overlap_octets = 8;
inline constexpr std::size_t gram6_octets = 6;  // fragments.hpp
inline constexpr std::size_t piece4_octets = 4;

struct KnownSecrets::State {
  struct Pattern {
    std::uint32_t text = 0;  // in `bytes`: as the encoding writes it
    std::uint32_t size = 0;
    std::uint32_t key = 0;  // in `bytes`: what the index looks for; its skeleton, or the text itself
    std::uint32_t key_size = 0;
    std::uint32_t lead = 0;  // octets of the text before the first of the key
    std::uint32_t tail = 0;  // and after its last
    std::uint32_t secret = 0;
    Encoding inner = Encoding::plain;
    Encoding outer = Encoding::plain;
    /// A backslash before the secret makes an escape of it, so the key goes without: stands before the key all the
    /// same. 0: nothing was left out.
    char first = '\0';
  };
  /// Six characters of a secret's skeleton that tell it from ordinary words; for sums over requests.
  struct Gram6 {
    std::uint64_t gram = 0;
    std::uint32_t secret = 0;
    std::uint32_t index = 0;
  };

  SecretBytes bytes;               // all patterns, one after the other, in locked memory
  std::vector<std::string> names;  // as findings show them: "known-secret:<NAME>", "canary:<name>"
  bool any_canary = false;
  std::vector<Pattern> folded;  // found in skeletons
  std::vector<Pattern> exact;   // too little of them is left in a skeleton: found as they are
  GramIndex folded_index;
  GramIndex exact_index;
  std::vector<std::string> leads;  // what patterns have before the first character of their skeleton, all beginnings
  std::size_t longest_lead = 0;
  std::vector<Gram6> grams6;               // by gram
  std::vector<std::uint32_t> gram6_count;  // of each secret; 0: too few to be summed
  std::vector<std::uint64_t> gram6_bitmap;
  std::vector<std::uint64_t> piece4_bitmap;  // the four-character pieces of grams6: what Fragments looks at first
  unsigned piece4_shift = 16;

  [[nodiscard]] std::string_view text_of(const Pattern& pattern) const {
    return bytes.view().substr(pattern.text, pattern.size);
  }
  [[nodiscard]] bool empty() const { return folded.empty() && exact.empty(); }
  [[nodiscard]] bool begins_lead(std::string_view signs) const {
    return std::ranges::binary_search(leads, signs, {}, [](const std::string& lead) { return std::string_view(lead); });
  }

  /// Adds what the match leaves out at its ends: [begin, end) is the key's part of the pattern in `text`. False: it is
  /// no match after all.
  bool widen(const Pattern& pattern, std::string_view text, std::size_t& begin, std::size_t& end) const;

  /// Calls on_hit(begin, end, pattern) for each occurrence in `text`, which is there as a whole; it returns false to
  /// stop.
  template <typename OnHit>
  void find(std::string_view text, OnHit on_hit) const {
    std::string skeleton;
    SkeletonState state;
    if (!folded_index.empty()) append_skeleton(skeleton, text, state);
    find(text, skeleton, on_hit);
  }
  /// The same for who has the skeleton already.
  template <typename OnHit>
  void find(std::string_view text, std::string_view skeleton, OnHit on_hit) const {
    bool go_on = true;
    std::vector<std::uint32_t> places;
    folded_index.find(skeleton, [&](std::size_t at, std::uint32_t number) {
      if (places.empty()) places = places_of(text);
      const Pattern& pattern = folded[number];
      std::size_t begin = places[at];
      std::size_t end = std::size_t{places[at + pattern.key_size - 1]} + 1;
      if (!widen(pattern, text, begin, end)) return true;
      go_on = on_hit(begin, end, pattern);
      return go_on;
    });
    if (!go_on) return;
    exact_index.find(text, [&](std::size_t begin, std::uint32_t number) {
      return on_hit(begin, begin + exact[number].size, exact[number]);
    });
  }
  /// Where each character of the skeleton stands in `text`.
  static std::vector<std::uint32_t> places_of(std::string_view text);

  static std::uint64_t gram6_at(const char* skeleton) {
    // Not one copy of six octets: compilers put it together in memory, and the load of it waits for both stores.
    std::uint32_t first = 0;
    std::uint16_t last = 0;
    std::memcpy(&first, skeleton, sizeof first);
    std::memcpy(&last, skeleton + sizeof first, sizeof last);
    return first | (std::uint64_t{last} << 32U);
  }
  [[nodiscard]] std::uint32_t piece4_hash(const char* skeleton) const {
    std::uint32_t piece = 0;
    std::memcpy(&piece, skeleton, sizeof piece);
    return (piece * 0x9e3779b1U) >> piece4_shift;
  }
  [[nodiscard]] bool may_be_piece4(const char* skeleton) const {
    const std::uint32_t hash = piece4_hash(skeleton);
    return ((piece4_bitmap[hash >> 6U] >> (hash & 63U)) & 1U) != 0;
  }
  static std::uint32_t gram6_hash(std::uint64_t gram) {
    return static_cast<std::uint32_t>((gram * 0x9e3779b97f4a7c15U) >> 48U);
  }
};

}  // namespace bot_bottle::dlp
