// What all connections and pushes of the gate share. Built by control; outlives them.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/supervise/journal.hpp"
#include "sidecar/dlp/scanner.hpp"
#include "sidecar/egress/canaries.hpp"
#include "sidecar/egress/house.hpp"
#include "sidecar/net/loop.hpp"

namespace bot_bottle::git_gate {

struct GateBounds {
  std::size_t connections = 128;
  std::size_t children = 32;  // git processes that serve fetches
  std::size_t pushes = 4;
  std::size_t request_octets = std::size_t{32} << 20;  // of a fetch's haves and wants
  std::size_t high_water = std::size_t{256} << 10;
  std::chrono::milliseconds reuse{2000};  // of a refresh (spec 05)
  std::chrono::milliseconds idle{300'000};
  std::chrono::milliseconds head{10'000};
  std::chrono::milliseconds linger{5'000};
  std::chrono::milliseconds keep_alive{5'000};
};

/// Whether the bottle has the supervise server, and so the tool git-allow.
enum class AgentAsks { no, yes };

struct GateHouse {
  net::Loop& loop;
  egress::EventLog& log;
  const egress::SecretStore& secrets;
  egress::House& egress;  // a canary stops all of the bottle's traffic, pushes and fetches as well
  std::shared_ptr<const dlp::Rules> rules;
  std::shared_ptr<const dlp::KnownSecrets> known_secrets;
  supervise::Journal& journal;
  std::chrono::milliseconds proposal_wait{300'000};
  AgentAsks agent_asks = AgentAsks::no;
  std::string proxy_token_ref;  // names the secret of egress.upstream_proxy, or is empty
  GateBounds bounds;
  std::size_t children = 0;
  std::size_t pushes = 0;

  [[nodiscard]] std::string redact(std::string_view text) const { return dlp::redact(*rules, *known_secrets, text); }
};

/// One line of the event log.
struct GateEvent {
  std::string_view event;
  egress::Level level = egress::Level::info;
  std::string_view host;
  std::string_view repo;
  std::string_view reason;
  std::string_view rule;
  std::string_view where;
  std::string_view snippet;
  std::optional<std::uint64_t> octets;
  std::optional<std::uint64_t> ms;
};
inline void log_event(GateHouse& house, const GateEvent& what) {
  egress::Event event;
  event.kind = "git";
  event.event = what.event;
  event.level = what.level;
  event.host = what.host;
  event.path = what.repo;
  event.reason = what.reason;
  event.rule = what.rule;
  event.where = what.where;
  event.snippet = what.snippet;
  event.bytes_in = what.octets;
  event.ms = what.ms;
  house.log.write(event);
}

}  // namespace bot_bottle::git_gate
