// The `egress` block of a bottle, typed (spec 04). Read by the manifest, the sidecar, `check` and the preflight:
// one parser, so that they cannot disagree. Hostile input: none directly (the operator writes it), but
// routes that agents propose come through here too. Never throws.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/policy/problem.hpp"

namespace bot_bottle::policy {

/// Gateway API words: prefix matches whole segments.
struct PathMatch {
  enum class Type : std::uint8_t { prefix, exact, regex };
  Type type = Type::prefix;
  std::string value;
};

struct HeaderMatch {
  enum class Type : std::uint8_t { exact, regex };
  std::string name;  // lower case
  std::string value;
  Type type = Type::exact;
};

/// Entries of a route are ORed, the fields inside one are ANDed; an empty field matches everything.
struct Match {
  std::vector<PathMatch> paths;
  std::vector<std::string> methods;  // upper case
  std::vector<HeaderMatch> headers;
};

/// How the real credential is put on a request. `token_ref` names a secret, never its value.
struct Auth {
  enum class Scheme : std::uint8_t { bearer, token, basic, header };
  Scheme scheme = Scheme::bearer;
  std::string header;  // lower case; "authorization" but for Scheme::header
  std::string token_ref;
  /// A second header for hosts that want to be told which of a login's accounts is meant; it names a secret too, for it
  /// is the operator's identity. Empty: none.
  std::string account_header;  // lower case
  std::string account_ref;
  bool operator==(const Auth&) const = default;
};

enum class OnUnscannable : std::uint8_t { block, pass };
enum class Tls : std::uint8_t { intercept, passthrough };
/// Account binding (spec 04 step 3): credentials that the client brings on a route with injected auth.
enum class ForeignCredentials : std::uint8_t { strip, refuse };

struct Dlp {
  bool token_patterns = true;
  bool known_secrets = true;
  bool financial = true;  // spec 04: off on a provider's own hosts (plan_egress), on elsewhere
  bool injection = true;  // inbound: naive_injection_detection; off and on likewise
  /// The same on recognised MCP and A2A content alone; on where `injection` is.
  bool recognised_injection = true;
};

struct RouteLimits {
  std::optional<std::uint64_t> requests_per_minute;
  std::optional<std::uint64_t> bytes_out_per_hour;
};

struct Route {
  std::string host;  // lower case A-label, no trailing dot
  std::vector<std::uint16_t> ports{443};
  bool plain = false;  // http:// allowed; adds port 80 to the default ports
  std::optional<Auth> auth;
  std::vector<Match> matches;  // empty: everything on this host, unless `refuse_all`
  bool refuse_all =
      false;  // `matches: []` (or only entries with an empty list) was written: nothing is allowed (attack I1)
  Dlp dlp;
  bool git_fetch = false;
  OnUnscannable on_unscannable = OnUnscannable::block;
  Tls tls = Tls::intercept;
  ForeignCredentials foreign_credentials = ForeignCredentials::strip;
  RouteLimits limits;
  std::string origin;  // "bottle", "provider:claude", "operator": shown by info and logs; not in the manifest
};

/// What follows a canary's sighting, besides its request being blocked.
enum class OnCanary : std::uint8_t { block, freeze };

/// `hosts:` value: an address, optionally with a port that replaces the one dialled ("127.0.0.1:8443"). An explicit pin
/// may be an address that SSRF rules refuse.
struct Pin {
  std::string address;
  std::optional<std::uint16_t> port;
};

struct UpstreamProxy {
  std::string host;
  std::uint16_t port = 0;
  std::string token_ref;  // user:password for Basic; empty: none
};

struct Egress {
  std::uint8_t log = 1;  // 0 off, 1 blocks and warnings, 2 every request
  bool metrics = false;  // Prometheus text on the control socket
  std::vector<Route> routes;
  std::map<std::string, Pin> hosts;
  std::string upstream_ca;  // in a manifest a path, in the sidecar's configuration PEM text
  std::optional<UpstreamProxy> upstream_proxy;
  bool canaries = true;  // fake credentials in the bottle, whose sighting raises an alarm
  OnCanary on_canary = OnCanary::block;
  bool mcp_pin = false;   // a tool that its server describes otherwise than before is blocked
  std::string dlp_rules;  // a person's own rules (gitleaks' format): in a manifest a path, for the sidecar their text
};

struct ParsedEgress {
  Egress egress;
  Problems problems;  // all of them; the value is only to be used when empty
};

/// Reads the block. Unknown keys, reserved (`role`) and old ones (`path_allowlist`, `allowlist`, `pipelock`) are
/// problems that show the new form; so are two routes for one host, IP literals, wildcards, `auth: {}`, bad regexes.
ParsedEgress parse_egress(const json::value& document);
/// Reads one route, the same way (providers and agents propose single routes). Paths start at `path`.
ParsedEgress parse_route(const json::value& document, const std::string& path);

/// The normalised document: parse_egress(to_json(x)) is x. No token values are in it, names are.
json::object to_json(const Egress& egress);
json::object to_json(const Route& route);
/// As an agent may see it: no token names, no pins.
json::object to_public_json(const Route& route);

/// routes.toml (`[[routes]]` tables with the manifest's keys, `[hosts]`): text ↔ value.
Result<Egress> parse_routes_toml(std::string_view text);
std::string to_routes_toml(const Egress& egress);

}  // namespace bot_bottle::policy
