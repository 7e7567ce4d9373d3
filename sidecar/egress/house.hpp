// What every connection of the proxy shares. Built by control; outlives all of them.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/policy/decide.hpp"
#include "sidecar/dlp/scanner.hpp"
#include "sidecar/egress/blocked_log.hpp"
#include "sidecar/egress/event_log.hpp"
#include "sidecar/egress/grants.hpp"
#include "sidecar/egress/guards.hpp"
#include "sidecar/egress/limits.hpp"
#include "sidecar/egress/metrics.hpp"
#include "sidecar/egress/secret_store.hpp"
#include "sidecar/mcp/tools.hpp"
#include "sidecar/net/loop.hpp"
#include "sidecar/net/resolver.hpp"
#include "sidecar/tls/contexts.hpp"

namespace bot_bottle::egress {

class Pool;

/// Spec 04, Protocols. Tests shorten them.
struct Times {
  std::chrono::milliseconds head{10'000};        // a request head, from its first octet; a TLS handshake
  std::chrono::milliseconds idle_body{300'000};  // no octet of a body in either direction
  std::chrono::milliseconds idle_connection{300'000};
  std::chrono::milliseconds response{900'000};  // the upstream thinks; models do
  std::chrono::milliseconds connect{30'000};
  std::chrono::milliseconds linger{5'000};  // after a refusal, for the agent to read it
  std::chrono::milliseconds pooled{60'000};
};

struct Bounds {
  std::size_t connections = 12'288;                 // of agents (connections.hpp)
  std::size_t opening = connections / 2;            // of them, without a whole request head so far
  std::size_t upstreams = 4352;                     // to upstreams, being made, in use or kept
  std::size_t exchanges = 4096;                     // requests under way; more are answered with 503
  std::size_t high_water = std::size_t{256} << 10;  // unsent octets of one at which the other side is not read
  std::size_t unsent = std::size_t{128} << 20;      // of all that are open together
  std::size_t held = std::size_t{128} << 20;        // kept by guards until it is judged, of all exchanges together
  std::size_t drained_body = std::size_t{1} << 20;  // of a refused request's body that are read and dropped
  std::size_t pipelined = std::size_t{64} << 10;    // octets read ahead of the present request

  /// Lowers the first three so that `descriptors` never run out: what cannot be accepted waits, and nobody can tell it
  /// why.
  void fit_into(std::size_t descriptors);
};

struct House {
  House(net::Loop& the_loop, EventLog& the_log, net::Resolver& the_resolver)
      : loop(the_loop), log(the_log), resolver(the_resolver) {}

  net::Loop& loop;
  EventLog& log;
  net::Resolver& resolver;
  Guards guards;
  Times times;
  Bounds bounds;
  Counters counters;
  std::size_t held_octets = 0;  // held_octets.hpp
  Metrics metrics;
  LimitKeeper limits;
  SecretStore secrets;
  /// Replaced by a reload; a request keeps the one it started with.
  std::shared_ptr<const policy::RouteTable> routes;
  std::uint64_t generation = 0;
  Grants grants;  // what is allowed besides, for now
  BlockedLog blocked;
  std::shared_ptr<const dlp::Rules> rules;
  /// Secrets and canaries: what no request may hold and no log may show.
  std::shared_ptr<const dlp::KnownSecrets> known_secrets;
  /// For routes whose known_secrets are off: a canary is seen on every route. Null: there is none.
  std::shared_ptr<const dlp::KnownSecrets> canaries;
  bool has_canaries = false;
  bool freezes_on_canary = false;
  std::string frozen_by;  // the canary's rule; empty: traffic flows
  [[nodiscard]] bool frozen() const { return !frozen_by.empty(); }
  /// Pieces of secrets over all requests of the bottle.
  std::unique_ptr<dlp::Fragments> fragments;
  std::shared_ptr<const dlp::KnownSecrets> no_secrets;  // for bodies that are only decoded and read
  mcp::ToolBook tools;                                  // of all MCP servers, for the sidecar's life
  std::unique_ptr<tls::Authority> authority;
  std::unique_ptr<tls::ServerContext> server_tls;
  /// Made at the first use, see client_context().
  std::unique_ptr<tls::ClientContext> client_tls;
  Pool* pool = nullptr;

  /// Memory of the present request, reused by the next.
  std::vector<policy::HeaderView> header_views;
  std::string scan_text;
  std::string scan_values;

  /// An agent that opens thousands of connections and reads from none gets less room on each (attack L).
  [[nodiscard]] std::size_t high_water() const;
  /// What `http://_egress.local/allowlist` says of the present routes: made once for them, however often it is asked.
  const std::string& allowlist();

  void count_block(std::string_view reason) {
    ++counters.blocked;
    metrics.count_block(reason);
  }
  Result<tls::ClientContext*> client_context();
  /// Without known secrets and rule matches; for logs and error bodies.
  [[nodiscard]] std::string redact(std::string_view text) const { return dlp::redact(*rules, *known_secrets, text); }

 private:
  std::shared_ptr<const policy::RouteTable> listed_routes_;
  std::string allowlist_;
};

}  // namespace bot_bottle::egress
