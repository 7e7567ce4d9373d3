// The calls of the control channel (docs/internals.md).
#include <fmt/format.h>
#include <unistd.h>

#include "core/base/clock.hpp"
#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "sidecar/control/sidecar.hpp"
#include "sidecar/egress/names.hpp"

#ifndef BB_VERSION
#define BB_VERSION "0"
#endif

namespace bot_bottle::sidecar {
namespace {

constexpr std::size_t max_routes_file = std::size_t{1} << 20;

json::object blocked_answer(std::string reason, std::string hint) {
  return {{"verdict", "blocked"}, {"reason", std::move(reason)}, {"hint", std::move(hint)}};
}

/// `{"x-team": "blue"}` or `[{"name": …, "value": …}]`; names in lower case.
std::vector<std::pair<std::string, std::string>> read_headers(const json::object& arguments) {
  std::vector<std::pair<std::string, std::string>> headers;
  if (const json::object* map = find_object(arguments, "headers")) {
    for (const auto& member : *map) {
      if (member.value().is_string())
        headers.emplace_back(to_lower(member.key()), std::string(member.value().get_string()));
    }
  }
  if (const json::array* list = find_array(arguments, "headers")) {
    for (const json::value& entry : *list) {
      if (const json::object* object = entry.if_object())
        headers.emplace_back(to_lower(get_string(*object, "name")), get_string(*object, "value"));
    }
  }
  return headers;
}

}  // namespace

json::object Sidecar::call_status() const {
  const egress::Counters& counters = house_->counters;
  return {{"ready", true},
          {"version", BB_VERSION},
          {"pid", ::getpid()},
          {"started_at", started_at_},
          {"ca_pem", house_->authority->pem()},
          {"open_connections", counters.open_connections},
          {"counters",
           {{"requests", counters.requests},
            {"blocked", counters.blocked},
            {"bytes_in", counters.bytes_in},
            {"bytes_out", counters.bytes_out},
            {"dlp_bytes", counters.dlp_bytes}}},
          {"secrets_locked", house_->secrets.all_locked()},
          {"generation", house_->generation},
          {"rules", house_->rules->count()},
          {"confinement", to_json(confinement_)}};
}

json::object Sidecar::call_routes() const {
  json::object all = policy::to_json(house_->routes->egress());
  json::object answer;
  for (const char* key : {"routes", "hosts"}) {
    if (json::value* value = all.if_contains(key)) answer[key] = std::move(*value);
  }
  if (!answer.contains("routes")) answer["routes"] = json::array{};
  if (!answer.contains("hosts")) answer["hosts"] = json::object{};
  answer["generation"] = house_->generation;
  return answer;
}

Result<json::object> Sidecar::call_reload() {
  const auto load = [this]() -> Result<std::shared_ptr<const policy::RouteTable>> {
    BB_TRY(const std::string text, read_file("egress/routes.toml", max_routes_file));
    BB_TRY(policy::Egress egress, policy::parse_routes_toml(text));
    // Trust and the way out are the operator's configuration, not the live file's.
    egress.upstream_ca = configured_.upstream_ca;
    egress.upstream_proxy = configured_.upstream_proxy;
    egress.log = configured_.log;
    egress.dlp_rules = configured_.dlp_rules;  // compiled once, at the start
    return policy::RouteTable::create(std::move(egress));
  };
  auto table = load();
  egress::Event event;
  event.kind = "sidecar";
  event.event = "reload";
  if (!table) {
    // The old routes stay in force.
    event.level = egress::Level::warn;
    event.reason = table.error().message;
    log_->write(event);
    return fail(std::move(table.error()).within("egress/routes.toml"));
  }
  proxy_->use_routes(std::move(*table));
  const std::string generation = fmt::format("generation {}", house_->generation);
  event.reason = generation;
  log_->write(event);
  return json::object{{"generation", house_->generation}};
}

/// The proxy's own decision, asked without a request; nothing is resolved (attack B3).
Result<json::object> Sidecar::call_check(const json::object& arguments) const {
  BB_TRY(const std::string method, need_string(arguments, "method"));
  BB_TRY(const std::string url, need_string(arguments, "url"));
  BB_TRY(const egress::AbsoluteTarget absolute, egress::parse_absolute_target(url));
  const auto authority = egress::parse_authority(absolute.authority, egress::default_port_of(absolute.scheme));
  if (!authority) return blocked_answer("blocked: " + authority.error().message, authority.error().hint);
  const auto target = policy::normalise_target(absolute.path_and_query);
  if (!target) return blocked_answer("blocked: " + target.error().message, target.error().hint);
  const auto headers = read_headers(arguments);
  std::vector<policy::HeaderView> views(headers.begin(), headers.end());
  policy::RequestView request;
  request.scheme = absolute.scheme;
  request.host = authority->host;
  request.port = authority->port;
  request.method = method;
  request.target = &*target;
  request.headers = views;
  const policy::Decision decision = house_->routes->decide(request);
  json::object answer = {
      {"verdict", decision.allowed() ? "allowed" : "blocked"},
      {"reason", policy::explain(decision, request)},
      {"hint", decision.allowed() ? "" : "edit the bottle's routes, or answer the agent's egress-block request"}};
  if (decision.route != nullptr) answer["route"] = decision.route_index + 1;
  return answer;
}

}  // namespace bot_bottle::sidecar
