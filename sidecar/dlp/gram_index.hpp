// Finds any of many patterns in one pass: every pattern has `stride` consecutive grams in the index, so looking at each
// stride-th position of the text is enough. Internal to sidecar/dlp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace bot_bottle::dlp {

class GramIndex {
 public:
  /// At least four octets each, alive as long as the index.
  void build(std::span<const std::string_view> patterns);

  [[nodiscard]] bool empty() const { return patterns_.empty(); }
  [[nodiscard]] std::size_t longest() const { return longest_; }

  /// Calls on_hit(begin, number of the pattern) for each occurrence, in no special order; it returns false to stop.
  template <typename OnHit>
  void find(std::string_view text, OnHit on_hit) const {
    if (patterns_.empty() || text.size() < shortest_) return;
    const char* data = text.data();
    const std::size_t last = text.size() - gram_octets;
    for (std::size_t at = 0; at <= last; at += stride_) {
      const std::uint32_t hash = hash_of(data + at);
      if (is_in(bitmap_, hash) && !verify(text, at, hash, on_hit)) return;
    }
  }
  /// How many of the last octets of `text` could begin a pattern: the length of the longest suffix that is a proper
  /// prefix of one.
  [[nodiscard]] std::size_t open_suffix(std::string_view text) const;

 private:
  struct Gram {
    std::uint32_t hash;  // of all 32 bits: different grams have different ones, so equal hashes are equal grams
    std::uint32_t pattern;
    std::uint32_t offset;  // of the gram in the pattern
  };
  static constexpr std::size_t gram_octets = 4;
  static constexpr std::size_t max_stride = 16;
  static constexpr unsigned start_shift = 5;

  std::vector<std::string_view> patterns_;
  std::size_t shortest_ = 0;
  std::size_t longest_ = 0;
  std::size_t stride_ = 1;
  unsigned shift_ = 16;                // of a hash, so many bits are too many for the bitmaps
  std::vector<std::uint64_t> bitmap_;  // which hashes occur at all
  std::vector<std::uint64_t> opens_;   // and which of a pattern's first gram
  std::vector<Gram> grams_;            // by hash
  std::vector<std::uint32_t> starts_;  // where those of a hash >> (shift_ + start_shift) begin
  std::vector<std::uint32_t> sorted_;  // patterns by text, for open_suffix
  std::vector<std::uint64_t> heads_;   // which two octets a pattern begins with

  static std::uint32_t hash_of(const char* at) {
    std::uint32_t gram = 0;
    std::memcpy(&gram, at, gram_octets);
    return gram * 0x9e3779b1U;  // odd: a permutation
  }
  [[nodiscard]] bool is_in(const std::vector<std::uint64_t>& bitmap, std::uint32_t hash) const {
    const std::uint32_t bit = hash >> shift_;
    return ((bitmap[bit >> 6U] >> (bit & 63U)) & 1U) != 0;
  }
  [[nodiscard]] std::size_t first_gram(std::uint32_t hash) const;

  template <typename OnHit>
  bool verify(std::string_view text, std::size_t at, std::uint32_t hash, OnHit& on_hit) const {
    for (std::size_t i = first_gram(hash); i < grams_.size() && grams_[i].hash == hash; ++i) {
      const Gram& gram = grams_[i];
      const std::string_view pattern = patterns_[gram.pattern];
      if (at < gram.offset || text.size() - (at - gram.offset) < pattern.size()) continue;
      const std::size_t begin = at - gram.offset;
      if (std::memcmp(text.data() + begin, pattern.data(), pattern.size()) == 0 && !on_hit(begin, gram.pattern))
        return false;
    }
    return true;
  }
};

}  // namespace bot_bottle::dlp
