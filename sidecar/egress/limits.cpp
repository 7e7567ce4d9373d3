#include "sidecar/egress/limits.hpp"

#include <algorithm>

namespace bot_bottle::egress {

bool LimitKeeper::take_request(const policy::Route& route, std::uint64_t now_ms) {
  if (!route.limits.requests_per_minute) return true;
  const auto limit = static_cast<double>(*route.limits.requests_per_minute);
  State& state = states_[route.host];
  if (!state.started) {
    state.started = true;
    state.tokens = limit;
    state.filled_ms = now_ms;
  }
  const auto passed = static_cast<double>(now_ms - state.filled_ms);
  state.tokens = std::min(limit, state.tokens + passed * limit / 60'000.0);
  state.filled_ms = now_ms;
  if (state.tokens < 1) return false;
  state.tokens -= 1;
  return true;
}

bool LimitKeeper::take_bytes(const policy::Route& route, std::uint64_t bytes, std::uint64_t now_ms) {
  if (!route.limits.bytes_out_per_hour) return true;
  State& state = states_[route.host];
  const std::uint64_t minute = now_ms / 60'000;
  const std::uint64_t passed = std::min<std::uint64_t>(minute - std::min(minute, state.minute), state.minutes.size());
  for (std::uint64_t i = 1; i <= passed; ++i) {
    std::uint64_t& oldest = state.minutes[(state.minute + i) % state.minutes.size()];
    state.total -= oldest;
    oldest = 0;
  }
  state.minute = std::max(state.minute, minute);
  if (bytes > *route.limits.bytes_out_per_hour || state.total > *route.limits.bytes_out_per_hour - bytes) return false;
  state.total += bytes;
  state.minutes[state.minute % state.minutes.size()] += bytes;
  return true;
}

}  // namespace bot_bottle::egress
