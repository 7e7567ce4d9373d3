#include "sidecar/egress/exchange.hpp"

#include <fmt/format.h>

#include "core/base/text.hpp"
#include "sidecar/dlp/financial.hpp"
#include "sidecar/dlp/unescape.hpp"
#include "sidecar/egress/canaries.hpp"
#include "sidecar/egress/pool.hpp"
#include "sidecar/websocket/handshake.hpp"

namespace bot_bottle::egress {

Exchange::Exchange(House& house, ClientSide& client, const Origin& origin, const IncomingRequest& request)
    : house_(house),
      client_(client),
      origin_(origin),
      request_(request),
      routes_(house.routes),
      started_ms_(house.loop.now_ms()),
      started_ns_(uv_hrtime()),
      held_(house.held_octets) {
  ++house_.counters.open_exchanges;
}

Exchange::~Exchange() {
  --house_.counters.open_exchanges;
  drop_upstream();
}

void Exchange::begin() {
  ++house_.counters.requests;
  if (house_.frozen()) {
    refuse(frozen_refusal());
    return;
  }
  if (house_.counters.open_exchanges > house_.bounds.exchanges) {
    Refusal refusal{.blame = Blame::load, .status = 503, .reason = "too_many_requests"};
    refusal.retry_after_s = 1;
    refuse(std::move(refusal));
    return;
  }
  if (is_for_us()) {
    answer_introspection();
    return;
  }
  // A request's path through the house. The decision is made here for every request, never once per connection (A9);
  // the first step that objects ends it. Nothing has been resolved or dialled before the last of them is passed (B3).
  using Step = Objection (Exchange::*)();
  static constexpr Step steps[] = {
      &Exchange::agree_on_names,  // CONNECT, SNI and Host name one host (A2); no IP literal (A11); the path normalised
                                  // (A5, A6)
      &Exchange::refuse_tricks,   // TRACE, CONNECT inside, Upgrade to anything but WebSocket (A7, A8, A13)
      &Exchange::find_route,      // deny by default; git push; matches
      &Exchange::keep_limits,     // requests per minute
      &Exchange::strip_and_bind,  // hop-by-hop first (A10), then the client's accounts; the real credential is made
                                  // ready
      &Exchange::scan_head,       // outbound DLP over method, path, query and every field that will be sent
      &Exchange::prepare_body,    // how the body will be read as it streams; what cannot be read is refused (A15)
      &Exchange::use_grant,       // an approval that ends by itself is one request nearer to its end
  };
  for (const Step step : steps) {
    if (Objection objection = (this->*step)()) {
      look_for_canary(*objection);
      refuse(std::move(*objection));
      return;
    }
  }
  // From here on the request is allowed. dial.cpp: resolve, SSRF rules, verified TLS. Then on_request_body streams
  // through BodyGuard to the upstream (exchange_stream.cpp), and on_response_* through ResponseGuard to the client
  // (exchange_response.cpp); with WebSocket, both through WebSocketGuard (exchange_websocket.cpp).
  connect();
}

bool Exchange::is_for_us() const {
  if (origin_.kind != Origin::Kind::proxy) return false;
  const auto absolute = parse_absolute_target(request_.target);
  return absolute && absolute->authority == own_host;
}

/// `http://_egress.local/allowlist`: what the agent may reach, without token names, pins or values.
void Exchange::answer_introspection() {
  const auto absolute = parse_absolute_target(request_.target);
  authority_.host = std::string(own_host);
  const bool known = request_.method == "GET" && absolute->path_and_query == "/allowlist";
  const std::string_view body =
      known ? std::string_view(house_.allowlist()) : "{\"error\":\"not_found\",\"by\":\"egress\"}\n";
  http::Fields fields;
  fields.add("content-type", "application/json");
  fields.add("cache-control", "no-store");
  ResponseStart head;
  head.status = known ? 200 : 404;
  head.fields = &fields;
  head.body = {BodyLength::Kind::known, body.size()};
  over_ = true;
  client_.send_head(head);
  if (request_.method != "HEAD") client_.send_body(body);
  client_.send_end(nullptr);
}

Exchange::Objection Exchange::agree_on_names() {
  std::string_view target = request_.target;
  std::string path_and_query;
  std::optional<Authority> named;  // by the target itself
  scheme_ = origin_.scheme;
  if (!request_.scheme.empty() && request_.scheme != (scheme_ == policy::Scheme::https ? "https" : "http"))
    return bad_request("bad_target", "the request's scheme is not the connection's");
  if (target.empty() || target.front() != '/') {
    auto absolute = parse_absolute_target(target);
    if (!absolute) return bad_request("bad_target", "the request target is neither a path nor an http URL");
    if (origin_.kind == Origin::Kind::proxy && absolute->scheme == policy::Scheme::https)
      return bad_request("use_connect", "https goes through CONNECT");
    if (origin_.kind == Origin::Kind::tunnel && absolute->scheme != origin_.scheme)
      return bad_request("bad_target", "the URL's scheme is not the connection's");
    auto authority = parse_authority(absolute->authority, default_port_of(absolute->scheme));
    if (!authority) return blocked("bad_host", authority.error().message);
    named = std::move(*authority);
    path_and_query = std::move(absolute->path_and_query);
    target = path_and_query;
  } else if (origin_.kind == Origin::Kind::proxy) {
    return bad_request("not_a_proxy_request", "this is a proxy: send CONNECT or an absolute http URL");
  }
  authority_ = origin_.kind == Origin::Kind::tunnel ? origin_.authority : *named;
  host_field_ = host_field_of(authority_, scheme_);
  const bool check = house_.guards.is_on(Guard::names);
  if (check && named && *named != authority_)
    return Refusal{
        .status = 421, .reason = "name_mismatch", .message = "the URL names another host than the connection"};
  const std::string expected = host_field_;
  for (const auto& name : {request_.host, request_.authority}) {
    if (!name || *name == expected) continue;
    auto host = parse_authority(*name, default_port_of(scheme_));
    if (check && !host) return blocked("bad_host", host.error().message);
    if (check && *host != authority_)
      return Refusal{
          .status = 421, .reason = "name_mismatch", .message = "Host names another host than the connection"};
    if (!check) host_field_ = std::string(*name);
  }
  auto normalised = policy::normalise_target(target);
  if (!normalised) return bad_request("bad_target", normalised.error().message);
  target_ = std::move(*normalised);
  return std::nullopt;
}

Exchange::Objection Exchange::refuse_tricks() {
  if (request_.method == "TRACE" || request_.method == "CONNECT")
    return blocked("method_not_allowed", "TRACE and CONNECT are not passed on");
  if (Objection objection = read_upgrade()) return objection;
  // DNS over HTTPS to an allowed host is a resolver, and a resolver is a way out (B7, RFC 8484 section 4.1).
  bool is_dns = false;
  request_.fields->each([&](const http::Field& field) {
    if (field.name != "content-type" && field.name != "accept") return;
    http::each_member(field.value, [&](std::string_view member) {
      is_dns = is_dns || equals_ignoring_case(trim(member.substr(0, member.find(';'))), "application/dns-message");
    });
  });
  if (is_dns) return blocked("dns_over_https", "DNS messages are not passed on");
  return std::nullopt;
}

Exchange::Objection Exchange::find_route() {
  house_.header_views.clear();
  request_.fields->each([&](const http::Field& field) { house_.header_views.emplace_back(field.name, field.value); });
  policy::RequestView view;
  view.scheme = scheme_;
  view.host = authority_.host;
  view.port = authority_.port;
  view.method = request_.method;
  view.target = &target_;
  view.headers = house_.header_views;
  const policy::Decision decision = routes_->decide(view);
  route_ = decision.route;
  if (decision.allowed()) return std::nullopt;
  grant_ = house_.grants.find(view, house_.loop.now_ms());
  if (grant_) {
    routes_ = grant_->table;
    route_ = routes_->decide(view).route;
    return std::nullopt;
  }
  if (decision.reason == policy::Reason::git_push && !house_.guards.is_on(Guard::git_push) && route_ != nullptr)
    return std::nullopt;
  if (!house_.guards.is_on(Guard::routes) && decision.reason != policy::Reason::git_push) {
    open_route_.host = authority_.host;
    if (route_ == nullptr) route_ = &open_route_;
    return std::nullopt;
  }
  Refusal refusal =
      blocked(std::string(policy::name_of(decision.reason)), house_.redact(policy::explain(decision, view)));
  refusal.propose = decision.reason == policy::Reason::host_not_allowed ||
                    decision.reason == policy::Reason::port_not_allowed || decision.reason == policy::Reason::no_match;
  refusal.propose_path = decision.reason == policy::Reason::no_match;
  if (refusal.propose || decision.reason == policy::Reason::git_fetch_not_allowed)
    house_.blocked.note({.scheme = scheme_,
                         .host = authority_.host,
                         .port = authority_.port,
                         .method = std::string(request_.method),
                         .target = target_.path});
  return refusal;
}

Exchange::Objection Exchange::keep_limits() {
  if (house_.limits.take_request(*route_, house_.loop.now_ms())) return std::nullopt;
  Refusal refusal = blocked("too_many_requests", "this route's requests_per_minute are used up");
  refusal.retry_after_s = 60;
  return refusal;
}

Exchange::Objection Exchange::strip_and_bind() {
  strip_connection_fields(*request_.fields);
  if (websocket_) websocket::strip_handshake_fields(*request_.fields);
  if (house_.guards.is_on(Guard::binding)) {
    Bound bound = bind_account(*route_, house_.secrets, *request_.fields, target_);
    if (bound.refusal) return std::move(bound.refusal);
    if (!bound.stripped.empty()) {
      Event event;
      event.level = Level::warn;
      event.event = "foreign_credential_removed";
      event.host = authority_.host;
      event.method = request_.method;
      event.where = bound.stripped;
      house_.log.write(event);
    }
  } else if (route_->auth) {
    request_.fields->remove(route_->auth->header);
    if (!route_->auth->account_header.empty()) request_.fields->remove(route_->auth->account_header);
  }
  if (!route_->auth) return std::nullopt;
  // Only over verified TLS to the route's own host and port, else not at all (F2, F8): a request that would go out
  // without its credential is refused, not sent bare.
  if (scheme_ != policy::Scheme::https)
    return blocked("credential_needs_tls", "this route's credential is only sent over TLS");
  auto credential = find_credential(*route_, house_.secrets);
  if (!credential) return blocked("credential_missing", credential.error().message);
  credential_ = std::move(*credential);
  return std::nullopt;
}

dlp::Detectors Exchange::detectors() const {
  if (!house_.guards.is_on(Guard::dlp)) return {false, false};
  dlp::Detectors which{route_->dlp.token_patterns, route_->dlp.known_secrets, house_.fragments.get(),
                       route_->dlp.financial};
  if (!which.known_secrets && house_.canaries) {
    which.known_secrets = true;
    which.fragments = nullptr;  // it counts the pieces of real secrets too
  }
  return which;
}

/// What known_secrets of detectors() are.
const std::shared_ptr<const dlp::KnownSecrets>& Exchange::sought_secrets() const {
  return route_->dlp.known_secrets || !house_.canaries ? house_.known_secrets : house_.canaries;
}

/// A request that is refused before the scan was on its way somewhere all the same: to a host that is not allowed,
/// mostly. Its head is looked through for canaries alone; its body is never read.
void Exchange::look_for_canary(Refusal& refusal) const {
  if (!house_.has_canaries || !refusal.rule.empty()) return;
  std::string text = fmt::format("{} {}\n", request_.method, request_.target);
  for (const auto& name : {request_.host, request_.authority})
    if (name) text.append(*name).append("\n");
  request_.fields->each(
      [&](const http::Field& field) { text.append(field.name).append(": ").append(field.value).append("\n"); });
  refusal.rule = find_canary(house_, text);
  if (!refusal.rule.empty()) refusal.where = "head of a request that was refused";
}

Exchange::Objection Exchange::scan_text(std::string_view text, std::string_view place) {
  const dlp::Detectors which = detectors();
  if (!which.any()) return std::nullopt;
  house_.counters.dlp_bytes += text.size();
  auto finding = dlp::scan(*house_.rules, *sought_secrets(), which, text);
  if (!finding && which.financial) {
    finding = dlp::scan_financial(text);
    if (!finding && dlp::find_escape(text) != std::string_view::npos) {
      const dlp::Unescaped decoded = dlp::unescape(text);
      finding = dlp::scan_financial(decoded.text);
      if (finding) finding->offset = decoded.origin[static_cast<std::size_t>(finding->offset)];
    }
  }
  if (!finding) return std::nullopt;
  Refusal refusal = blocked("secret_found", "the request holds a credential");
  refusal.rule = finding->rule;
  refusal.snippet = finding->snippet;
  refusal.where = place;
  if (place.empty()) {
    // The line that the finding starts in tells where it was.
    const auto at = static_cast<std::size_t>(std::min<std::uint64_t>(finding->offset, text.size()));
    const std::size_t begin = at == 0 ? 0 : text.rfind('\n', at - 1) + 1;
    const std::string_view line = text.substr(begin, text.find('\n', begin) - begin);
    if (begin == 0) {
      const std::size_t query = line.find('?');
      refusal.where = query != std::string_view::npos && at > query ? "query" : "path";
    } else {
      refusal.where = fmt::format("header {}", line.substr(0, line.find(':')));
    }
  }
  return refusal;
}

/// A secret scattered over the values of the head: those of the query one after the other, those of the fields.
Exchange::Objection Exchange::scan_values() {
  if (!detectors().known_secrets) return std::nullopt;
  std::string& values = house_.scan_values;
  values.clear();
  const std::string target = target_.text();
  const std::size_t query = target.find('?');
  for (std::size_t at = query; at != std::string::npos; at = target.find('&', at + 1)) {
    const std::string_view parameter = std::string_view(target).substr(at + 1, target.find('&', at + 1) - at - 1);
    values.append(parameter.substr(parameter.find('=') + 1)).append("\n");
  }
  request_.fields->each([&](const http::Field& field) { values.append(field.value).append("\n"); });
  constexpr dlp::Detectors known_only{.token_patterns = false, .known_secrets = true};
  const auto finding = dlp::scan(*house_.rules, *sought_secrets(), known_only, values);
  if (!finding) return std::nullopt;
  Refusal refusal = blocked("secret_found", "the request holds a credential");
  refusal.rule = finding->rule;
  refusal.snippet = finding->snippet;
  refusal.where = "query and headers joined";
  return refusal;
}

Exchange::Objection Exchange::scan_head() {
  std::string& text = house_.scan_text;
  text.clear();
  text.append(request_.method).append(" ").append(target_.text()).append("\n");
  request_.fields->each(
      [&](const http::Field& field) { text.append(field.name).append(": ").append(field.value).append("\n"); });
  if (Objection objection = scan_text(text, {})) return objection;
  if (Objection objection = scan_values()) return objection;
  bytes_out_ += text.size();
  if (may_send(text.size())) return std::nullopt;
  return blocked("too_many_bytes", "what this route may send is used up");
}

bool Exchange::may_send(std::uint64_t octets) {
  return house_.limits.take_bytes(*route_, octets, house_.loop.now_ms()) &&
         (!grant_ || house_.grants.take_octets(*grant_, octets, house_.loop.now_ms()));
}

Exchange::Objection Exchange::use_grant() {
  if (!grant_ || house_.grants.take_request(*grant_, house_.loop.now_ms())) return std::nullopt;
  return blocked("approval_over", "the approval for this has come to its end");
}

Exchange::Objection Exchange::prepare_body() {
  const dlp::Detectors which = detectors();
  if (websocket_) {
    const bool scrub = house_.guards.is_on(Guard::scrub) && !house_.secrets.empty();
    frames_.emplace(house_.rules, sought_secrets(), house_.known_secrets, which, route_->on_unscannable,
                    scrub ? WebSocketGuard::Scrub::yes : WebSocketGuard::Scrub::no);
    return std::nullopt;
  }
  if (request_.body.kind == BodyLength::Kind::none) return std::nullopt;
  const bool grpc = is_grpc(*request_.fields);
  // Answers are asked for as they are: what is compressed could not be scrubbed.
  if (grpc) request_.fields->remove("grpc-accept-encoding");
  prepare_mcp();
  if (!which.any()) return std::nullopt;
  std::optional<Coding> coding;
  bool unreadable = false;
  std::size_t codings = 0;
  request_.fields->each([&](const http::Field& field) {
    if (field.name != "content-encoding") return;
    http::each_member(field.value, [&](std::string_view member) {
      if (equals_ignoring_case(member, "identity")) return;
      ++codings;
      coding = parse_coding(member);
      unreadable = unreadable || !coding;
    });
  });
  unreadable = unreadable || codings > 1;
  if (unreadable) coding.reset();
  if (unreadable && route_->on_unscannable == policy::OnUnscannable::block) {
    Refusal refusal = blocked("unscannable", "the body's Content-Encoding cannot be read");
    refusal.where = "header content-encoding";
    return refusal;
  }
  if (grpc && !coding && !unreadable) {
    grpc_.emplace(house_.rules, sought_secrets(), which, grpc_coding(*request_.fields), route_->on_unscannable);
    return std::nullopt;
  }
  guard_.emplace(house_.rules, sought_secrets(), which, coding, route_->on_unscannable);
  return std::nullopt;
}

}  // namespace bot_bottle::egress
