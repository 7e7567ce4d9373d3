// The calls of the control channel (docs/internals.md).
#include <fmt/format.h>
#include <unistd.h>

#include <utility>

#include "core/base/clock.hpp"
#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "sidecar/control/memory.hpp"
#include "sidecar/control/sidecar.hpp"
#include "sidecar/egress/names.hpp"

#ifndef BB_VERSION
#define BB_VERSION "0"
#endif

namespace bot_bottle::sidecar {
namespace {

constexpr std::size_t max_routes_file = std::size_t{4} << 20;

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
          {"held_octets", house_->held_octets},
          {"counters",
           {{"requests", counters.requests},
            {"blocked", counters.blocked},
            {"bytes_in", counters.bytes_in},
            {"bytes_out", counters.bytes_out},
            {"dlp_bytes", counters.dlp_bytes}}},
          {"secrets_locked", house_->secrets.all_locked()},
          {"generation", house_->generation},
          {"leaves", house_->authority->minted()},
          {"bounds", {{"connections", house_->bounds.connections}, {"opening", house_->bounds.opening}}},
          {"canaries", house_->secrets.known_canaries().size()},
          {"frozen_by", house_->frozen_by},
          {"rules", house_->rules->count()},
          {"rules_from", house_->rules->source() == dlp::Rules::Source::database ? "database" : "rule files"},
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
  // What approvals add for a while is not in it; the text is what set-routes takes.
  for (auto& member : desk_->routes()) answer[member.key()] = std::move(member.value());
  return answer;
}

Result<json::object> Sidecar::call_reload() {
  const auto load = [this]() -> Result<void> {
    BB_TRY(const std::string text, read_file("egress/routes.toml", max_routes_file));
    BB_TRY(policy::Egress egress, policy::parse_routes_toml(text));
    return desk_->use_base(std::move(egress));
  };
  const Result<void> loaded = load();
  egress::Event event;
  event.kind = "sidecar";
  event.event = "reload";
  if (!loaded) {
    // The old routes stay in force.
    event.level = egress::Level::warn;
    event.reason = loaded.error().message;
    log_->write(event);
    return fail(Error(loaded.error()).within("egress/routes.toml"));
  }
  trim_heap();
  const std::string generation = fmt::format("generation {}", house_->generation);
  event.reason = generation;
  log_->write(event);
  return json::object{{"generation", house_->generation}};
}

/// Traffic flows again. What was refused meanwhile is for the agent to try again.
json::object Sidecar::call_lift_freeze() {
  const std::string by = std::exchange(house_->frozen_by, {});
  if (!by.empty()) {
    egress::Event event;
    event.kind = "sidecar";
    event.level = egress::Level::warn;
    event.event = "freeze_lifted";
    event.rule = by;
    log_->write(event);
  }
  return {{"lifted", !by.empty()}, {"frozen_by", by}};
}

/// The proxy's own decision, asked without a request; nothing is resolved (attack B3).
Result<json::object> Sidecar::call_check(const json::object& arguments) const {
  BB_TRY(const std::string method, need_string(arguments, "method"));
  BB_TRY(const std::string url, need_string(arguments, "url"));
  BB_TRY(const egress::AbsoluteTarget absolute, egress::parse_absolute_target(url));
  if (house_->frozen())
    return blocked_answer("blocked: the bottle is frozen by " + house_->frozen_by,
                          "bot-bottle unfreeze SLUG, or end it");
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
  policy::Advice advice = house_->routes->advise(decision, request);
  json::object answer = {
      {"verdict", decision.allowed() ? "allowed" : "blocked"},
      {"reason", policy::explain(decision, request)},
      {"rule", policy::name_of(decision.reason)},
      {"steps", to_array(advice.steps)},
      {"change", std::move(advice.change)},
      {"hint", decision.allowed() ? "" : "edit the bottle's routes, or answer the agent's egress-block request"}};
  if (decision.route != nullptr) {
    answer["route"] = decision.route_index + 1;
    answer["host"] = decision.route->host;
    if (decision.route->auth) answer["credential"] = decision.route->auth->token_ref;
  }
  return answer;
}

}  // namespace bot_bottle::sidecar
