// What every connection of the proxy shares. Built by control; outlives all of them.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/policy/decide.hpp"
#include "sidecar/dlp/scanner.hpp"
#include "sidecar/egress/event_log.hpp"
#include "sidecar/egress/guards.hpp"
#include "sidecar/egress/limits.hpp"
#include "sidecar/egress/metrics.hpp"
#include "sidecar/egress/secret_store.hpp"
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
  std::size_t connections = 512;                    // of agents; more are turned away
  std::size_t high_water = std::size_t{256} << 10;  // unsent octets at which the other side is not read
  std::size_t drained_body = std::size_t{1} << 20;  // of a refused request's body that are read and dropped
  std::size_t pipelined = std::size_t{64} << 10;    // octets read ahead of the present request
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
  Metrics metrics;
  LimitKeeper limits;
  SecretStore secrets;
  /// Replaced by a reload; a request keeps the one it started with.
  std::shared_ptr<const policy::RouteTable> routes;
  std::uint64_t generation = 0;
  std::shared_ptr<const dlp::Rules> rules;
  std::shared_ptr<const dlp::KnownSecrets> known_secrets;
  /// Pieces of secrets over all requests of the bottle.
  std::unique_ptr<dlp::Fragments> fragments;
  std::unique_ptr<tls::Authority> authority;
  std::unique_ptr<tls::ServerContext> server_tls;
  /// Made at the first use, see client_context().
  std::unique_ptr<tls::ClientContext> client_tls;
  Pool* pool = nullptr;

  /// Memory of the present request, reused by the next.
  std::vector<policy::HeaderView> header_views;
  std::string scan_text;
  std::string scan_values;

  void count_block(std::string_view reason) {
    ++counters.blocked;
    metrics.count_block(reason);
  }
  Result<tls::ClientContext*> client_context();
  /// Without known secrets and rule matches; for logs and error bodies.
  [[nodiscard]] std::string redact(std::string_view text) const { return dlp::redact(*rules, *known_secrets, text); }
};

}  // namespace bot_bottle::egress
