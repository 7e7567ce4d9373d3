// Decisions in words, for `check`, 403 bodies, logs and the operator's screen.
#include "core/policy/explain.hpp"

#include <fmt/format.h>

#include <array>

#include "core/base/text.hpp"
#include "core/policy/decide.hpp"

namespace bot_bottle::policy {

std::string_view name_of(Reason reason) {
  static constexpr std::array<std::string_view, 9> names{
      "allowed",  "host_not_allowed",      "port_not_allowed",   "plain_http_not_allowed", "no_match",
      "git_push", "git_fetch_not_allowed", "method_not_allowed", "passthrough_only"};
  return names.at(static_cast<std::size_t>(reason));
}

std::string explain(const Decision& decision, const RequestView& request) {
  const std::string route = decision.route == nullptr
                                ? std::string()
                                : fmt::format("route {} ({})", decision.route_index + 1, decision.route->host);
  const std::string_view path = request.target == nullptr ? std::string_view() : std::string_view(request.target->path);
  const std::string what = path.empty() ? std::string(request.method) : fmt::format("{} {}", request.method, path);
  switch (decision.reason) {
    case Reason::allowed:
      return fmt::format("allowed by {}", route);
    case Reason::host_not_allowed:
      return fmt::format("blocked: no route for {}", request.host);
    case Reason::port_not_allowed:
      return fmt::format("blocked: {} does not allow port {}", route, request.port);
    case Reason::plain_http_not_allowed:
      return fmt::format("blocked: {} does not allow plain http (it has no plain: true)", route);
    case Reason::no_match:
      return decision.route != nullptr && decision.route->refuse_all
                 ? fmt::format("blocked: {} has an empty list of matches, which allows nothing", route)
                 : fmt::format("blocked: {} matches no entry of {}", what, route);
    case Reason::git_push:
      return "blocked: git push over HTTPS is blocked on every route; push through git-gate";
    case Reason::git_fetch_not_allowed:
      return fmt::format("blocked: {} does not allow git fetch (it has no git: {{fetch: true}})", route);
    case Reason::method_not_allowed:
      return fmt::format("blocked: the method {} is never allowed", request.method);
    case Reason::passthrough_only:
      return fmt::format("blocked: {} is a tunnel (tls: passthrough); only CONNECT may use it", route);
  }
  return "blocked";
}

std::string to_text(const Match& match) {
  std::vector<std::string> parts;
  if (!match.methods.empty()) parts.push_back(join(match.methods, ","));
  std::vector<std::string> paths;
  for (const PathMatch& path : match.paths) {
    const char* kind = path.type == PathMatch::Type::prefix  ? "…"
                       : path.type == PathMatch::Type::regex ? " (regex)"
                                                             : "";
    paths.push_back(path.value + kind);
  }
  if (!paths.empty()) parts.push_back(join(paths, " or "));
  for (const HeaderMatch& header : match.headers)
    parts.push_back(header.name + (header.type == HeaderMatch::Type::regex ? "~" : "=") + header.value);
  return parts.empty() ? "all" : join(parts, " ");
}

std::string change_for(const Decision& decision, const RequestView& request) {
  switch (decision.reason) {
    case Reason::allowed:
      return {};
    case Reason::host_not_allowed:
      return fmt::format("a route for {}", request.host);
    case Reason::port_not_allowed:
      return fmt::format("port {} in 'ports' of the route", request.port);
    case Reason::plain_http_not_allowed:
      return "'plain: true' in the route: what it carries is then readable on the way";
    case Reason::no_match:
      return fmt::format("an entry in 'matches' with the method {} and the path {}", request.method,
                         request.target == nullptr ? std::string_view("/") : std::string_view(request.target->path));
    case Reason::git_push:
      return "nothing here: a push goes through git-gate, which scans it ('git-gate' in the bottle)";
    case Reason::git_fetch_not_allowed:
      return "'git: {fetch: true}' in the route";
    case Reason::method_not_allowed:
      return "nothing: this method is blocked on every route";
    case Reason::passthrough_only:
      return "'tls: intercept' in the route: a tunnel takes no plain request";
  }
  return {};
}

}  // namespace bot_bottle::policy
