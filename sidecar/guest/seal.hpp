// `bottle-init --seal-network ADDRESS`: run once in the bottle's network namespace by a helper that has CAP_NET_ADMIN
// there, before anything of the agent's runs. Nothing of it stays but the routes.
#pragma once

#include <string>

namespace bot_bottle::guest {

/// Leaves one route: to the sidecar's IPv4 `address` alone. The route to the rest of the bottle's network goes, and
/// with it gateway, neighbours and broadcast; 127.0.0.11, the engine's resolver, gets a black hole (attack B: names
/// carry data out through whoever resolves them). Returns 0, or says what failed.
int seal_network(const std::string& address);

}  // namespace bot_bottle::guest
