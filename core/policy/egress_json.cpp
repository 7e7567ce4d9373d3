// The normalised documents. What is the default is left out, so that a person who reads a file sees what was chosen.
#include <fmt/format.h>

#include "core/policy/egress.hpp"

namespace bot_bottle::policy {
namespace {

json::array matches_of(const Route& route) {
  static constexpr std::string_view path_types[] = {"prefix", "exact", "regex"};
  static constexpr std::string_view header_types[] = {"exact", "regex"};
  json::array matches;
  for (const Match& match : route.matches) {
    json::object entry;
    if (!match.paths.empty()) {
      json::array paths;
      for (const PathMatch& path : match.paths)
        paths.push_back({{"type", path_types[static_cast<std::size_t>(path.type)]}, {"value", path.value}});
      entry["paths"] = std::move(paths);
    }
    if (!match.methods.empty()) entry["methods"] = to_array(match.methods);
    if (!match.headers.empty()) {
      json::array headers;
      for (const HeaderMatch& header : match.headers)
        headers.push_back({{"name", header.name},
                           {"value", header.value},
                           {"type", header_types[static_cast<std::size_t>(header.type)]}});
      entry["headers"] = std::move(headers);
    }
    matches.push_back(std::move(entry));
  }
  return matches;
}

std::string scheme_text(const Auth& auth) {
  switch (auth.scheme) {
    case Auth::Scheme::bearer:
      return "Bearer";
    case Auth::Scheme::token:
      return "token";
    case Auth::Scheme::basic:
      return "Basic";
    case Auth::Scheme::header:
      break;
  }
  return "header:" + auth.header;
}

json::object public_part(const Route& route) {
  json::object object;
  object["host"] = route.host;
  json::array ports;
  for (const std::uint16_t port : route.ports) ports.emplace_back(port);
  object["ports"] = std::move(ports);
  if (route.plain) object["plain"] = true;
  if (!route.matches.empty() || route.refuse_all) object["matches"] = matches_of(route);
  if (route.git_fetch) object["git"] = {{"fetch", true}};
  if (route.tls == Tls::passthrough) object["tls"] = "passthrough";
  return object;
}

std::string with_port(const std::string& host, std::uint16_t port) {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

json::object dlp_of(const Dlp& dlp) {
  json::array detectors;
  if (dlp.token_patterns) detectors.emplace_back("token_patterns");
  if (dlp.known_secrets) detectors.emplace_back("known_secrets");
  if (dlp.financial) detectors.emplace_back("financial");
  json::object object;
  object["outbound_detectors"] = std::move(detectors);
  json::array inbound;
  if (dlp.injection)
    inbound.emplace_back("naive_injection_detection");
  else if (dlp.recognised_injection)
    inbound.emplace_back("mcp");
  object["inbound_detectors"] = std::move(inbound);
  return object;
}

}  // namespace

json::object to_json(const Route& route) {
  json::object object = public_part(route);
  if (route.auth) {
    json::object auth{{"scheme", scheme_text(*route.auth)}, {"token_ref", route.auth->token_ref}};
    if (!route.auth->account_header.empty())
      auth["account"] = {{"header", route.auth->account_header}, {"token_ref", route.auth->account_ref}};
    object["auth"] = std::move(auth);
  }
  const bool all_on = route.dlp.token_patterns && route.dlp.known_secrets && route.dlp.financial && route.dlp.injection;
  if (!all_on && route.tls != Tls::passthrough) object["dlp"] = dlp_of(route.dlp);
  if (route.on_unscannable == OnUnscannable::pass) object["on_unscannable"] = "pass";
  if (route.foreign_credentials == ForeignCredentials::refuse) object["foreign_credentials"] = "refuse";
  json::object limits;
  if (route.limits.requests_per_minute) limits["requests_per_minute"] = *route.limits.requests_per_minute;
  if (route.limits.bytes_out_per_hour) limits["bytes_out_per_hour"] = *route.limits.bytes_out_per_hour;
  if (!limits.empty()) object["limits"] = std::move(limits);
  return object;
}

json::object to_public_json(const Route& route) {
  json::object object = public_part(route);
  object["credential"] = route.auth ? "injected" : "none";
  return object;
}

json::object to_json(const Egress& egress) {
  json::object object;
  object["log"] = egress.log;
  if (egress.metrics) object["metrics"] = true;
  json::array routes;
  for (const Route& route : egress.routes) routes.emplace_back(to_json(route));
  object["routes"] = std::move(routes);
  json::object hosts;
  for (const auto& [name, pin] : egress.hosts) {
    hosts[name] = pin.port ? with_port(pin.address, *pin.port) : pin.address;
  }
  object["hosts"] = std::move(hosts);
  if (!egress.upstream_ca.empty()) object["upstream_ca"] = egress.upstream_ca;
  if (egress.upstream_proxy) {
    const UpstreamProxy& proxy = *egress.upstream_proxy;
    json::object document;
    document["url"] = "http://" + with_port(proxy.host, proxy.port);
    if (!proxy.token_ref.empty()) document["token_ref"] = proxy.token_ref;
    object["upstream_proxy"] = std::move(document);
  }
  if (!egress.canaries) object["canaries"] = false;
  if (egress.on_canary == OnCanary::freeze) object["on_canary"] = "freeze";
  if (egress.mcp_pin) object["mcp"] = {{"pin", true}};
  if (!egress.dlp_rules.empty()) object["dlp"] = {{"rules", egress.dlp_rules}};
  return object;
}

}  // namespace bot_bottle::policy
