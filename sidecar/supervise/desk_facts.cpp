// What an operator is told beside the agent's words: all of it computed from the live state.
#include <fmt/format.h>

#include <algorithm>

#include "core/supervise/recipe.hpp"
#include "sidecar/supervise/desk.hpp"

namespace bot_bottle::supervise {
namespace {

constexpr std::size_t max_told_requests = 10;

void add_fact(json::array& facts, std::string_view label, std::string_view text) {
  facts.push_back(json::object{{"label", label}, {"text", text}});
}

void add_git_facts(const Proposal& proposal, json::array& facts) {
  add_fact(facts, "push to", get_string(proposal.change, "repo") + " (" + get_string(proposal.facts, "upstream") + ")");
  const json::array* findings = find_array(proposal.facts, "findings");
  if (findings == nullptr) return;
  for (const json::value& value : *findings) {
    const json::object* finding = value.if_object();
    if (finding == nullptr) continue;
    add_fact(facts, "lets through",
             fmt::format("{}: {}; in {} of {}", get_string(*finding, "rule"), get_string(*finding, "snippet"),
                         get_string(*finding, "where"), get_string(*finding, "commit").substr(0, 12)));
  }
}

}  // namespace

Desk::Diff Desk::diff_of(std::string_view kind, const json::object& change) const {
  if (kind == egress_block) {
    const auto route = policy::parse_asked_route(change);
    Diff diff{policy::to_yaml_lines(policy::live_route(standing_, get_string(change, "host"))), {}};
    if (!route) return diff;
    const auto merged = policy::merge_route(standing_, *route);
    diff.after = merged ? policy::to_yaml_lines(policy::live_route(*merged, route->host)) : diff.before;
    return diff;
  }
  if (kind == capability_block) {
    const json::value recorded = recorded_recipe(recipe_directory);
    return {recorded.is_object() ? recipe_lines(recorded.as_object()) : std::string(), recipe_lines(change)};
  }
  if (kind == git_allow) return {{}, policy::to_yaml_lines(change)};
  return {};
}

/// Which of the requests that were refused this would have let through.
void Desk::add_blocked(const policy::Route& asked, json::array& facts) const {
  const auto merged = policy::merge_route(standing_, asked);
  if (!merged) return;
  const auto table = policy::RouteTable::create(*merged);
  if (!table) return;
  std::size_t told = 0;
  std::size_t more = 0;
  for (const egress::BlockedRequest& request : parts_.house.blocked.all()) {
    if (request.host != asked.host) continue;
    std::string text;
    if (request.method == "CONNECT") {
      if (!(*table)->decide_connect(request.host, request.port).allowed()) continue;
      text = fmt::format("a connection to {}:{}, whose requests were not seen", request.host, request.port);
    } else {
      const auto target = policy::normalise_target(request.target);
      if (!target) continue;
      policy::RequestView view;
      view.scheme = request.scheme;
      view.host = request.host;
      view.port = request.port;
      view.method = request.method;
      view.target = &*target;
      if (!(*table)->decide(view).allowed()) continue;
      text = fmt::format("{} {}", request.method, request.target);
    }
    if (request.times > 1) text += fmt::format(" ({} times)", request.times);
    if (++told > max_told_requests)
      ++more;
    else
      add_fact(facts, "was blocked, would pass", text);
  }
  if (more > 0) add_fact(facts, "was blocked, would pass", fmt::format("and {} more", more));
  if (told == 0) add_fact(facts, "was blocked, would pass", "no request that was seen");
}

json::array Desk::facts_of(const Proposal& proposal) const {
  json::array facts;
  if (proposal.kind == egress_block) {
    const auto route = policy::parse_asked_route(proposal.change);
    if (!route) return facts;
    if (proposal.state != State::pending) {
      if (const json::array* kept = find_array(proposal.facts, "facts")) return *kept;
      return facts;
    }
    for (const auto& [label, text] : policy::widening_of(standing_, *route)) add_fact(facts, label, text);
    add_blocked(*route, facts);
  } else if (proposal.kind == git_allow) {
    add_git_facts(proposal, facts);
  } else if (proposal.kind == capability_block) {
    add_fact(facts, "image", "built by `bot-bottle resume` from this recipe; the bottle is kept and stopped");
    add_fact(facts, "reach",
             "what the recipe runs at build time has the network of the builder, not the bottle's walls");
  }
  return facts;
}

}  // namespace bot_bottle::supervise
