// What an agent may ask of the routes, and what it becomes in the live ones (spec 06, egress-block). Pure.
// Hostile input: the route that is asked for. Never throws.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/policy/egress.hpp"

namespace bot_bottle::policy {

/// Reads a route with the keys `host`, `matches` and `git.fetch`, and no other: credentials, ports, tunnels, limits and
/// detectors are the operator's alone. Errors: invalid_argument, naming all that is wrong.
Result<Route> parse_asked_route(const json::object& document);
/// The same keys again, in one spelling: parse_asked_route(asked_json(x)) is x.
json::object asked_json(const Route& route);

/// The live routes with what is asked: a new host is appended, an existing host's matches are united entry by entry
/// (never crossed: attack I7), its credential and all else of it stay. Nothing that was allowed becomes forbidden.
/// Errors: failed_precondition for a tunnel, which has no matches.
Result<Egress> merge_route(Egress live, const Route& asked);

/// The live route of that host as a document; null when there is none.
json::value live_route(const Egress& egress, std::string_view host);

/// As lines of YAML, the manifest's spelling: what an operator is shown and diffs are made of. Empty for null.
std::string to_yaml_lines(const json::value& document);

/// What merging would widen, computed and not the agent's words: label and text.
std::vector<std::pair<std::string, std::string>> widening_of(const Egress& live, const Route& asked);

/// True when `allowed` lets through everything that `asked` does, as far as that can be shown: the same host, and each
/// entry of `asked` inside one of `allowed`. A doubt is a no.
bool covers(const Route& allowed, const Route& asked);

}  // namespace bot_bottle::policy
