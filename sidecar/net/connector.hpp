// Dials addresses in turn until one answers.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "core/base/result.hpp"
#include "sidecar/net/address.hpp"
#include "sidecar/net/stream.hpp"

namespace bot_bottle::net {

/// An attempt that is under way; destroying it gives up.
class Connecting {
 public:
  struct Connected {
    Stream stream;
    Address address;
  };
  using OnConnected = std::function<void(Result<Connected>)>;
  /// Answers later, in a turn. Each address but the last is given 5 s, all together get `limit`.
  Connecting(Loop& loop, std::vector<Address> addresses, std::chrono::milliseconds limit, OnConnected on_connected);
  Connecting(const Connecting&) = delete;
  Connecting& operator=(const Connecting&) = delete;
  ~Connecting();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace bot_bottle::net
