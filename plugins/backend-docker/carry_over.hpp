// A kept bottle whose image is another one now (capability-block): its home and workspace go into a new container.
#pragma once

#include <string>

#include "plugins/backend-docker/engine.hpp"

namespace bot_bottle::backend_docker {

/// The image that a container was made from, as it was named then.
std::string image_of(Engine& engine, const std::string& container);

/// Copies `directory` (absolute, in both) with owners and modes from one container that does not run to another that
/// never ran. The engine unpacks inside the new container's own root, so links in the tree lead nowhere else. `spool`
/// is a directory of the operator's for what is on its way; at most 16 GiB.
void carry_over(Engine& engine, const std::string& from, const std::string& to, const std::string& directory,
                const std::string& spool);

}  // namespace bot_bottle::backend_docker
