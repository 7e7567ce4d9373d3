// TCP on 127.0.0.1 → unix socket, byte for byte, and the DNS sink. Hostile input: whatever the agent sends and however
// slowly it reads; so buffers are bounded per connection and connections per endpoint (attack L).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "sidecar/guest/loop.hpp"

namespace bot_bottle::guest {

struct Endpoint {
  std::string name;
  std::uint16_t port = 0;
  std::string socket;  // absolute path of the sidecar's end
};

/// "egress=9099:/run/bottle/wire/egress.sock"
bool parse_endpoint(const char* text, Endpoint& into);

inline constexpr std::size_t max_connections_per_endpoint = 512;
inline constexpr std::size_t max_dns_connections = 32;

/// Listens on 127.0.0.1:`endpoint.port`; false and errno when that fails. Lives as long as the process.
bool serve_endpoint(Loop& loop, const Endpoint& endpoint);

/// Answers DNS on 127.0.0.1:53 over UDP and TCP and sends reports to the datagram socket at `report_path` (may be
/// empty).
bool serve_dns(Loop& loop, const std::string& report_path);

}  // namespace bot_bottle::guest
