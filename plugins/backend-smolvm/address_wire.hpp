// The address wire, for smolvm 0.8.0 to 1.1.2: the machine may reach one loopback address of this machine and nothing
// else, and whether that holds is looked at twice.
#pragma once

#include <string>
#include <vector>

#include "bot_bottle/plugin.hpp"
#include "plugins/backend-smolvm/machine.hpp"

namespace bot_bottle::backend_smolvm {

inline constexpr int report_port = 9053;

/// A loopback address that no other bottle has, written into the bottle's record (`record` with "address") under a
/// lock: the one that the record has already, when there is one. Linux: of 127.77.0.0/16. macOS: 127.0.0.16 to 31,
/// which must be on lo0. Throws unavailable with the command that adds one.
std::string reserve_address(const std::string& home, const std::string& state_root, const std::string& state_dir,
                            json::object record);

/// Ports on which something of this machine listens on all its addresses, and so on the bottle's: an allow-list has no
/// ports. In order; empty where the system does not say it (macOS).
std::vector<int> ports_on_all_addresses();

/// What smolvm stored with the machine, read from its own data base: up to 1.7.7 an allow-list can be dropped without a
/// word. Throws failed_precondition when it is anything but this address, or cannot be read.
void check_stored_allow_list(const driven::Tool& tool, const std::string& name, const std::string& address);

/// From inside: the sidecar's address answers, and a listener of ours on this machine's 127.0.0.1 does not. Throws
/// failed_precondition.
void probe_from_inside(Machines& machines, const std::string& name, const std::string& address,
                       const json::object& plan_data);

/// "egress=9099:tcp:127.77.1.2:9099" each, or the socket's path.
std::vector<std::string> endpoint_options(const json::object& plan_data, const std::string& address);

}  // namespace bot_bottle::backend_smolvm
