#include "sidecar/egress/proxy.hpp"

namespace bot_bottle::egress {

Proxy::Proxy(House& house) : house_(house), pool_(house), connections_(house) {
  house_.pool = &pool_;
}

Proxy::~Proxy() {
  listener_.close();
  connections_.clear();
  pool_.clear();
  house_.pool = nullptr;
}

Result<void> Proxy::listen(const std::string& socket_path) {
  // Whoever reaches the directory may connect: it is what the backend mounts into the bottle, and nothing else is in
  // it.
  BB_TRY(listener_, net::Listener::listen_unix(house_.loop, socket_path, 0666,
                                               [this](net::Stream stream) { connections_.admit(std::move(stream)); }));
  return {};
}

Result<void> Proxy::listen(const net::Address& address) {
  BB_TRY(listener_, net::Listener::listen_tcp(house_.loop, address,
                                              [this](net::Stream stream) { connections_.admit(std::move(stream)); }));
  return {};
}

void Proxy::stop_listening() {
  listener_.close();
}

void Proxy::use_routes(std::shared_ptr<const policy::RouteTable> routes) {
  const bool same_trust = house_.routes && house_.routes->egress().upstream_ca == routes->egress().upstream_ca;
  house_.routes = std::move(routes);
  ++house_.generation;
  if (!same_trust) house_.client_tls.reset();
  pool_.clear();
  // Minting costs 100 µs each: now, and not in an agent's first handshake.
  for (const policy::Route& route : house_.routes->egress().routes) {
    if (route.tls == policy::Tls::intercept && house_.authority->minted() < 64)
      (void)house_.authority->leaf_for(route.host);
  }
}

}  // namespace bot_bottle::egress
