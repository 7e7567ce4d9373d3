// What the agent's container is made with: its walls, as arguments of `container create`.
#pragma once

#include <string>
#include <vector>

#include "bot_bottle/plugin.hpp"
#include "core/base/json.hpp"

namespace bot_bottle::backend_apple {

/// Sockets of the wire that are mounted: the endpoints', and `life` where the sidecar's side holds it.
std::vector<std::string> mounted_sockets(const json::object& plan_data);

/// Behind `create`. Never without `--network none`: left out, the tool attaches its NAT network, with the internet and
/// the host. The last label is a digest of all the others: what was made otherwise is made anew.
std::vector<std::string> create_arguments(const sdk::Plan& plan);

/// The value of label_made_as for this plan.
std::string made_as(const sdk::Plan& plan);

/// "egress=9099:/run/bottle/wire/egress.sock" each.
std::vector<std::string> endpoint_options(const json::object& plan_data);

}  // namespace bot_bottle::backend_apple
