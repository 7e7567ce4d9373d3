// The one decision function (spec 04): proxy, `check`, preflight and operator screen call this and nothing else.
// Hostile input: every name, target and header of a request. Pure: never resolves a name, never allocates without
// bound, never throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.hpp"
#include "core/policy/egress.hpp"

namespace bot_bottle::policy {

/// A host name as policy compares it: letters, digits, '-', '.', lower case, at most 253 octets, labels of 1 to 63, one
/// trailing dot removed, U-labels to A-labels (IDNA 2008, libidn2). Refused: IP literals in every spelling (dotted,
/// short, decimal, octal, hex, bracketed or bare IPv6, zone ids), NUL and every other octet (attacks A1, A11, A14).
Result<std::string> normalise_host(std::string_view host);

/// True for what inet_aton(3), inet_pton(3) or a URL parser (WHATWG) could take for an address: "127.1", "0x7f.1",
/// "2130706433", "0177.0.0.1", "[::1]", "::ffff:1.2.3.4", "fe80::1%eth0".
bool is_address_literal(std::string_view host);

/// The target as it will be matched *and* sent: percent-encoding of unreserved characters decoded, hex digits upper
/// case, dot segments removed, duplicate slashes kept, "%2F" kept encoded. Refused: control characters, raw space, CR,
/// LF, NUL (also encoded NUL), backslash, invalid escapes, double-encoded dots and slashes ("%252e"), fragment,
/// non-ASCII (attacks A5, A6).
struct Target {
  std::string path;   // starts with '/'
  std::string query;  // without '?', as it came (checked, not changed); empty and absent differ by has_query
  bool has_query = false;
  [[nodiscard]] std::string text() const { return has_query ? path + "?" + query : path; }
};
Result<Target> normalise_target(std::string_view target);

enum class Scheme : std::uint8_t { http, https };

using HeaderView = std::pair<std::string_view, std::string_view>;

/// What is asked. `host` was normalised; `headers` names are lower case.
struct RequestView {
  Scheme scheme = Scheme::https;
  std::string_view host;
  std::uint16_t port = 443;
  std::string_view method;
  const Target* target = nullptr;
  std::span<const HeaderView> headers;
};

enum class Reason : std::uint8_t {
  allowed,
  host_not_allowed,
  port_not_allowed,
  plain_http_not_allowed,
  no_match,  // the host is allowed, this path/method/header is not
  git_push,  // git-receive-pack over HTTPS: blocked on every route, always
  git_fetch_not_allowed,
  method_not_allowed,  // TRACE, CONNECT inside a connection
  passthrough_only,    // the route is a tunnel: no plain request may use it
};
std::string_view name_of(Reason reason);

struct Decision {
  Reason reason = Reason::host_not_allowed;
  const Route* route = nullptr;  // borrowed from the table; set when the host is known, also on a refusal
  std::size_t route_index = 0;   // in the order of the manifest
  [[nodiscard]] bool allowed() const { return reason == Reason::allowed; }
};

/// "allowed by route 3 (api.example.com)" / "blocked: POST /x matches no entry of route 3 (api.example.com)". One line;
/// it may hold hostile text: escape it before a terminal sees it.
std::string explain(const Decision& decision, const RequestView& request);

/// For who wants to know more than `explain`'s one line. The same caution.
struct Advice {
  std::vector<std::string> steps;  // what was looked at: "entry 2 (GET /v1/…): the method is not in it"
  std::string change;              // what would have to change for it to pass; empty when it passes
};

/// Immutable; shared by the requests that started with it. Lookup is one hash of the host, so its cost does not depend
/// on the number of routes.
class RouteTable {
 public:
  /// Compiles the regexes (RE2, anchored, 1 MiB of program each). Errors name the route.
  static Result<std::shared_ptr<const RouteTable>> create(Egress egress);
  RouteTable(const RouteTable&) = delete;
  RouteTable& operator=(const RouteTable&) = delete;
  ~RouteTable();

  [[nodiscard]] const Egress& egress() const;
  /// By normalised name; null when the host is not allowed.
  [[nodiscard]] const Route* find_host(std::string_view host) const;
  /// For CONNECT: host and port only.
  [[nodiscard]] Decision decide_connect(std::string_view host, std::uint16_t port) const;
  /// For every request, on every connection (attack A9).
  [[nodiscard]] Decision decide(const RequestView& request) const;
  /// `decision` is this table's on this request.
  [[nodiscard]] Advice advise(const Decision& decision, const RequestView& request) const;

 private:
  struct State;
  explicit RouteTable(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// True for an address that a request may not reach unless it is pinned: unspecified, loopback, link-local, private,
/// CGNAT, benchmark, documentation, multicast, reserved, metadata; IPv4 inside IPv6 (mapped, compatible, NAT64
/// 64:ff9b::/96 and 64:ff9b:1::/48, 6to4, Teredo) is decoded first (attacks A11, A17). `address` is 4 or 16 octets in
/// network order.
bool is_forbidden_address(std::span<const std::uint8_t> address);

}  // namespace bot_bottle::policy
