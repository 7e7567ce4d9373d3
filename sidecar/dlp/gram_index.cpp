#include "sidecar/dlp/gram_index.hpp"

#include <numeric>

namespace bot_bottle::dlp {

namespace {
std::size_t head_of(std::string_view text) {
  return static_cast<std::size_t>(static_cast<unsigned char>(text[0])) * 256 + static_cast<unsigned char>(text[1]);
}
}  // namespace

void GramIndex::build(std::span<const std::string_view> patterns) {
  patterns_.assign(patterns.begin(), patterns.end());
  if (patterns_.empty()) return;
  shortest_ = patterns_[0].size();
  for (const std::string_view pattern : patterns_) {
    shortest_ = std::min(shortest_, pattern.size());
    longest_ = std::max(longest_, pattern.size());
  }
  stride_ = std::min(max_stride, shortest_ - gram_octets + 1);
  std::size_t bits = 16;
  while (bits < 21 && (std::size_t{1} << bits) < patterns_.size() * stride_ * 32) ++bits;
  shift_ = static_cast<unsigned>(32 - bits);
  bitmap_.assign((std::size_t{1} << bits) / 64, 0);
  opens_ = bitmap_;
  grams_.reserve(patterns_.size() * stride_);
  for (std::uint32_t i = 0; i < patterns_.size(); ++i) {
    for (std::uint32_t offset = 0; offset < stride_; ++offset) {
      const std::uint32_t hash = hash_of(patterns_[i].data() + offset);
      const std::uint32_t bit = hash >> shift_;
      bitmap_[bit >> 6U] |= std::uint64_t{1} << (bit & 63U);
      if (offset == 0) opens_[bit >> 6U] |= std::uint64_t{1} << (bit & 63U);
      grams_.push_back({hash, i, offset});
    }
  }
  std::ranges::sort(grams_, {}, &Gram::hash);
  starts_.reserve((std::size_t{1} << (bits - start_shift)) + 1);
  for (std::uint32_t i = 0; i < grams_.size(); ++i)
    while (starts_.size() <= (grams_[i].hash >> (shift_ + start_shift))) starts_.push_back(i);
  starts_.resize((std::size_t{1} << (bits - start_shift)) + 1, static_cast<std::uint32_t>(grams_.size()));
  sorted_.resize(patterns_.size());
  std::iota(sorted_.begin(), sorted_.end(), 0U);
  std::ranges::sort(sorted_, {}, [&](std::uint32_t i) { return patterns_[i]; });
  heads_.assign(65536 / 64, 0);
  for (const std::string_view pattern : patterns_)
    heads_[head_of(pattern) >> 6U] |= std::uint64_t{1} << (head_of(pattern) & 63U);
}

std::size_t GramIndex::first_gram(std::uint32_t hash) const {
  std::size_t at = starts_[hash >> (shift_ + start_shift)];
  while (at < grams_.size() && grams_[at].hash < hash) ++at;
  return at;
}

std::size_t GramIndex::open_suffix(std::string_view text) const {
  if (patterns_.empty()) return 0;
  for (std::size_t at = text.size() - std::min(text.size(), longest_ - 1); at < text.size(); ++at) {
    const std::string_view suffix = text.substr(at);
    // Asked at the end of each chunk: a search for every suffix cost more than the scan of the chunk.
    if (suffix.size() >= gram_octets) {
      if (!is_in(opens_, hash_of(suffix.data()))) continue;
    } else if (suffix.size() >= 2 && ((heads_[head_of(suffix) >> 6U] >> (head_of(suffix) & 63U)) & 1U) == 0) {
      continue;
    }
    // The first pattern after the suffix in the order of texts begins with it when any does; it itself comes before.
    const auto next = std::ranges::upper_bound(sorted_, suffix, {}, [&](std::uint32_t i) { return patterns_[i]; });
    if (next != sorted_.end() && patterns_[*next].starts_with(suffix)) return suffix.size();
  }
  return 0;
}

}  // namespace bot_bottle::dlp
