// The bottle's secrets as patterns and the index that finds them. Internal to sidecar/dlp.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/secret.hpp"
#include "sidecar/dlp/scanner.hpp"

namespace bot_bottle::dlp {

enum class Encoding : std::uint8_t { plain, base64, hex };
std::string_view name_of(Encoding encoding);

/// Secrets longer than a piece become several overlapping patterns, so that the window stays small and a part is found
/// too.
inline constexpr std::size_t max_piece_octets = 64;
inline constexpr std::size_t piece_overlap_octets = 8;

struct KnownSecrets::State {
  struct Pattern {
    std::uint32_t offset;  // in `bytes`
    std::uint32_t size;
    std::uint32_t secret;  // in `names`
    Encoding encoding;
  };
  struct Gram {
    std::uint32_t hash;
    std::uint32_t pattern;
    std::uint32_t offset;  // of the gram in the pattern
  };

  SecretBytes bytes;  // all patterns, one after the other, in locked memory
  std::vector<std::string> names;
  std::vector<Pattern> patterns;
  std::size_t shortest = 0;
  std::size_t longest = 0;

  [[nodiscard]] std::string_view text_of(const Pattern& pattern) const {
    return bytes.view().substr(pattern.offset, pattern.size);
  }
  [[nodiscard]] bool empty() const { return patterns.empty(); }

  void add(std::string_view text, std::uint32_t secret, Encoding encoding, std::string& all);
  void build_index();

  /// Calls on_hit(begin, pattern) for each occurrence, in no special order; it returns false to stop. Every pattern has
  /// `stride` consecutive four-octet grams in the index, so looking at each stride-th position is enough.
  template <typename OnHit>
  void find(std::string_view text, OnHit on_hit) const {
    if (patterns.empty() || text.size() < shortest) return;
    const char* data = text.data();
    const std::size_t last = text.size() - gram_octets;
    for (std::size_t at = 0; at <= last; at += stride) {
      const std::uint32_t hash = hash_of(data + at);
      if (((bitmap[hash >> 6U] >> (hash & 63U)) & 1U) != 0 && !verify(text, at, hash, on_hit)) return;
    }
  }
  /// How many of the last octets of `text` could begin a pattern: the length of the longest suffix that is a proper
  /// prefix of one.
  [[nodiscard]] std::size_t open_suffix(std::string_view text) const;

 private:
  static constexpr std::size_t gram_octets = 4;
  std::size_t stride = 1;
  unsigned shift = 16;                // hash bits = 32 - shift
  std::vector<std::uint64_t> bitmap;  // which hashes occur at all
  std::vector<Gram> grams;            // by hash
  std::vector<std::uint64_t> pairs;   // which two octets begin a pattern
  std::vector<bool> firsts;           // which octet begins one

  [[nodiscard]] std::uint32_t hash_of(const char* at) const {
    std::uint32_t gram = 0;
    std::memcpy(&gram, at, gram_octets);
    return (gram * 0x9e3779b1U) >> shift;
  }
  [[nodiscard]] std::size_t first_gram(std::uint32_t hash) const;

  template <typename OnHit>
  bool verify(std::string_view text, std::size_t at, std::uint32_t hash, OnHit& on_hit) const {
    for (std::size_t i = first_gram(hash); i < grams.size() && grams[i].hash == hash; ++i) {
      const Gram& gram = grams[i];
      const Pattern& pattern = patterns[gram.pattern];
      if (at < gram.offset || text.size() - (at - gram.offset) < pattern.size) continue;
      const std::size_t begin = at - gram.offset;
      if (std::memcmp(text.data() + begin, bytes.view().data() + pattern.offset, pattern.size) == 0 &&
          !on_hit(begin, pattern))
        return false;
    }
    return true;
  }
};

}  // namespace bot_bottle::dlp
