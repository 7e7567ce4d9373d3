// The explicit proxy on `wire/egress.sock`.
#pragma once

#include <memory>
#include <string>

#include "sidecar/egress/connections.hpp"
#include "sidecar/egress/house.hpp"
#include "sidecar/egress/pool.hpp"
#include "sidecar/net/address.hpp"
#include "sidecar/net/stream.hpp"

namespace bot_bottle::egress {

class Proxy {
 public:
  explicit Proxy(House& house);
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;
  ~Proxy();

  Result<void> listen(const std::string& socket_path);
  /// The address wire, in place of the socket.
  Result<void> listen(const net::Address& address);
  /// New routes for requests that begin after it; idle upstream connections of the old ones end.
  void use_routes(std::shared_ptr<const policy::RouteTable> routes);
  /// No new connections; those that are open end when nothing of them is under way, at the latest with the process.
  void stop_listening();

 private:
  House& house_;
  Pool pool_;
  net::Listener listener_;
  Connections connections_;
};

}  // namespace bot_bottle::egress
