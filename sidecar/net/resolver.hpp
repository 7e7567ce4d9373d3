// Names to addresses. Only names that a route allows may come here (attack B3).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "sidecar/net/address.hpp"
#include "sidecar/net/loop.hpp"

namespace bot_bottle::net {

/// A question that is open. Destroying it means that no answer will come.
class Lookup {
 public:
  virtual ~Lookup() = default;
};

using OnAddresses = std::function<void(Result<std::vector<Address>>)>;

/// An edge of the house: tests put a fake here.
class Resolver {
 public:
  virtual ~Resolver() = default;
  /// Answers later, in a turn, never from inside this call. Addresses have port 0.
  virtual std::unique_ptr<Lookup> resolve(const std::string& host, OnAddresses on_addresses) = 0;
};

/// getaddrinfo(3) on libuv's thread pool. Keeps answers for 30 s, at most 256.
std::unique_ptr<Resolver> make_system_resolver(Loop& loop);

}  // namespace bot_bottle::net
