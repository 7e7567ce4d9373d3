// What `metrics` tells (spec 04, "Live changes and introspection"): Prometheus text exposition format 0.0.4.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace bot_bottle::egress {

struct Counters {
  std::uint64_t requests = 0;
  std::uint64_t blocked = 0;
  std::uint64_t bytes_in = 0;   // of responses
  std::uint64_t bytes_out = 0;  // of requests
  std::uint64_t dlp_bytes = 0;
  std::uint64_t open_connections = 0;
  std::uint64_t open_exchanges = 0;
  std::uint64_t open_upstreams = 0;  // being made, in use or kept
};

class Metrics {
 public:
  /// `reason` is one of our own words ("host_not_allowed"), never the agent's. At most 64 are told apart.
  void count_block(std::string_view reason);
  /// A request that was answered to its end.
  void observe(std::uint64_t nanoseconds);
  [[nodiscard]] std::string text(const Counters& counters) const;

 private:
  static constexpr std::array<std::uint64_t, 14> bounds_us{500,       1'000,     2'500,      5'000,      10'000,
                                                           25'000,    50'000,    100'000,    250'000,    500'000,
                                                           1'000'000, 5'000'000, 30'000'000, 300'000'000};
  std::array<std::uint64_t, bounds_us.size() + 1> buckets_{};
  std::uint64_t sum_ns_ = 0;
  std::uint64_t count_ = 0;
  std::map<std::string, std::uint64_t, std::less<>> blocks_;
};

}  // namespace bot_bottle::egress
