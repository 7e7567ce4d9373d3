// The two containers of a bottle as the engine is told about them.
#pragma once

#include <optional>
#include <string>

#include "bot_bottle/plugin.hpp"
#include "core/base/json.hpp"

namespace bot_bottle::backend_docker {

/// The address wire's network of one bottle.
struct WireNetwork {
  std::string name;
  std::string gateway;  // what an ordinary network would have its host at
  std::string sidecar;  // IPv4 addresses
  std::string agent;
};

inline constexpr int report_port = 9053;
inline constexpr int lifeline_port = 9054;

/// Whether the bottle's network is made and sealed in a container of its own (gVisor's stack takes addresses and routes
/// as it finds them at its start, and asks nobody afterwards).
bool has_holder(const json::object& data);
json::object holder_container(const sdk::Plan& plan, const WireNetwork& network);
json::object agent_container(const sdk::Plan& plan, const std::optional<WireNetwork>& network);
json::object sidecar_container(const sdk::Plan& plan, const std::optional<WireNetwork>& network, bool has_rules,
                               bool has_lifeline);
/// The tmpfs that holds the wire's sockets: no path of the host in it, a size, gone with the containers.
json::object wire_volume(const sdk::Plan& plan);
/// argv of the self-test in the bottle.
json::array selftest_argv(const sdk::Plan& plan, const std::optional<WireNetwork>& network);
/// "name=port:target" for each endpoint.
std::vector<std::string> endpoint_options(const json::object& data, const std::optional<WireNetwork>& network);

}  // namespace bot_bottle::backend_docker
