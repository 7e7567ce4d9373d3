// What guards keep in memory until it is judged, counted over all exchanges: each of them is bounded, thousands of them
// together would not be (attack L).
#pragma once

#include <cstddef>
#include <utility>

namespace bot_bottle::egress {

/// One exchange's share of the sum, which outlives it.
class HeldOctets {
 public:
  explicit HeldOctets(std::size_t& sum) : sum_(sum) {}
  HeldOctets(const HeldOctets&) = delete;
  HeldOctets& operator=(const HeldOctets&) = delete;
  ~HeldOctets() { sum_ -= mine_; }

  /// So many are kept now. False: they have become more, and all together are above `most`. Guarded by
  /// house_test (what_all_guards_hold_together_has_a_bound) and mcp_test
  /// (answers_that_never_end_do_not_fill_the_memory).
  [[nodiscard]] bool set(std::size_t octets, std::size_t most) {
    const bool grown = octets > mine_;
    sum_ = sum_ - std::exchange(mine_, octets) + octets;
    return !grown || sum_ <= most;
  }

 private:
  std::size_t& sum_;
  std::size_t mine_ = 0;
};

}  // namespace bot_bottle::egress
