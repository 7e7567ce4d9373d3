// requests_per_minute and bytes_out_per_hour, per route host.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "core/policy/egress.hpp"

namespace bot_bottle::egress {

/// Counts survive a reload. Pure arithmetic on the clock it is given: tests bring their own.
class LimitKeeper {
 public:
  /// A bucket of `requests_per_minute` that fills evenly. False: refuse now.
  bool take_request(const policy::Route& route, std::uint64_t now_ms);
  /// Octets of the last 60 whole minutes. False: these octets must not be sent; they are not counted then.
  bool take_bytes(const policy::Route& route, std::uint64_t bytes, std::uint64_t now_ms);

 private:
  struct State {
    double tokens = 0;
    std::uint64_t filled_ms = 0;
    bool started = false;
    std::array<std::uint64_t, 60> minutes{};
    std::uint64_t minute = 0;  // of the newest entry
    std::uint64_t total = 0;
  };
  std::unordered_map<std::string, State> states_;
};

}  // namespace bot_bottle::egress
