// Decisions in words, for `check`, 403 bodies, logs and the operator's screen.
#include <fmt/format.h>

#include <array>

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

}  // namespace bot_bottle::policy
