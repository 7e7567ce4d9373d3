#include "sidecar/egress/house.hpp"

#include <algorithm>

namespace bot_bottle::egress {
namespace {
constexpr std::size_t other_descriptors = 128;  // listeners, control, logs, the rules, and some to spare
}  // namespace

void Bounds::fit_into(std::size_t descriptors) {
  const std::size_t usable = descriptors > 2 * other_descriptors ? descriptors - other_descriptors : descriptors / 2;
  upstreams = std::min(upstreams, usable / 2);
  connections = std::min(connections, usable - upstreams);
  opening = std::min(opening, connections / 2);
}

std::size_t House::high_water() const {
  constexpr std::size_t least = std::size_t{16} << 10;
  const std::size_t share = bounds.unsent / std::max<std::uint64_t>(1, counters.open_connections);
  return std::clamp(share, least, bounds.high_water);
}

const std::string& House::allowlist() {
  if (listed_routes_ == routes) return allowlist_;
  json::array list;
  for (const policy::Route& route : routes->egress().routes) list.push_back(policy::to_public_json(route));
  allowlist_ = to_pretty_text(json::object{{"routes", std::move(list)}});
  listed_routes_ = routes;
  return allowlist_;
}

Result<tls::ClientContext*> House::client_context() {
  if (!client_tls) {
    BB_TRY(client_tls, tls::ClientContext::create(routes->egress().upstream_ca));
  }
  return client_tls.get();
}

}  // namespace bot_bottle::egress
