// The address wire: a network of a bottle's own, with nobody on it but the agent and its sidecar.
#pragma once

#include <optional>
#include <string>

#include "bot_bottle/plugin.hpp"
#include "plugins/backend-docker/containers.hpp"
#include "plugins/backend-docker/engine.hpp"

namespace bot_bottle::backend_docker {

/// Makes the plan's network if its wire is the address wire: a /29 of 198.19.0.0/16 (RFC 2544: routed nowhere), another
/// than all that the engine and the host's routes have, internal, without an address of the host's on its bridge,
/// without IPv6. The engine's own pools are not used. Writes down which (network_of). Throws.
std::optional<WireNetwork> make_network(Engine& engine, const sdk::Plan& plan);
/// The one that make_network wrote down; nothing on the socket wire.
std::optional<WireNetwork> network_of(const sdk::Plan& plan);
void connect_sidecar(Engine& engine, const WireNetwork& network, const std::string& sidecar);
/// Runs `bottle-init --seal-network` in the agent's network namespace, from a container of the sidecar's image.
void seal(Engine& engine, const sdk::Plan& plan, const WireNetwork& network, const std::string& agent);

/// For tests: the first address of the n-th /29 as text, and whether `subnet` of the host's routes overlaps it.
std::string subnet_base(std::uint32_t index);

}  // namespace bot_bottle::backend_docker
