// TCP on 127.0.0.1 → the sidecar, byte for byte, and the DNS sink. Hostile input: whatever the agent sends and however
// slowly it reads; so buffers are bounded per connection and connections per endpoint (attack L).
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "sidecar/guest/loop.hpp"

namespace bot_bottle::guest {

struct Endpoint {
  std::string name;
  std::uint16_t port = 0;
  std::string socket;  // the sidecar's end: an absolute path, or "tcp:192.0.2.1:9099" on the address wire
};

/// "egress=9099:/run/bottle/wire/egress.sock", "egress=9099:tcp:192.0.2.1:9099"
bool parse_endpoint(const char* text, Endpoint& into);

/// Where the sidecar's end is.
struct Target {
  sockaddr_storage address{};
  socklen_t size = 0;  // 0: the text names nothing
  [[nodiscard]] const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(&address); }
};
Target find_target(const std::string& text);

/// As many as the sidecar takes (its Bounds::connections). Where descriptors run out before, the next ones are closed
/// unread.
inline constexpr std::size_t max_connections_per_endpoint = 12'288;
inline constexpr std::size_t max_dns_connections = 32;

/// Listens on 127.0.0.1:`endpoint.port`; false and errno when that fails. Lives as long as the process.
bool serve_endpoint(Loop& loop, const Endpoint& endpoint);

/// Answers DNS on 127.0.0.1:53 over UDP and TCP and sends reports to the datagram socket `report` (a target's text; may
/// be empty).
bool serve_dns(Loop& loop, const std::string& report);

}  // namespace bot_bottle::guest
