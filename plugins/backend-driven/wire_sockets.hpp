// The sidecar's sockets, for a tool that mounts them into a machine.
#pragma once

#include <string>
#include <vector>

#include "bot_bottle/plugin.hpp"

namespace bot_bottle::driven {

/// `backend/sockets` of a bottle: 0700, ours alone.
std::string socket_directory(const std::string& state_dir);

/// The wire's directory is the sidecar's, and a compromised one could put a link to any other socket of this machine in
/// its place just before the tool looks. So what is mounted is a name of the very socket in a directory of ours. Waits
/// for each of `names` (without ".sock"); their mode becomes 0666, for the guest's end has these bits in some tools.
/// Guarded by apple_test and smolvm_test: a_link_on_the_wire_is_not_followed.
void link_sockets(const sdk::Call& call, const std::string& state_dir, const std::vector<std::string>& names);

}  // namespace bot_bottle::driven
