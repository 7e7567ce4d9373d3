// What the agent made, from a container into one that must be made otherwise: another image (an approved recipe), other
// endpoints. The tool can neither rename nor change one, so the files lie on this disk in between.
#pragma once

#include <string>

#include "bot_bottle/plugin.hpp"
#include "core/base/result.hpp"
#include "plugins/backend-apple/container_tool.hpp"

namespace bot_bottle::backend_apple {

/// Starts the old one, takes home and workspace out of it, and ends it. From then on they lie in the state, whole.
void carry_over(const sdk::Call& call, const ContainerTool& tool, const sdk::Plan& plan, const std::string& container);
bool has_carried(const std::string& state_dir);
/// Says that what lies there, on disk already, is all: the original may go. On return that is on disk, too, with the
/// directories that lead there. Errors: what the system says.
Result<void> mark_carried(const std::string& state_dir);
/// Puts them into the new one, as the agent's, and removes them here; nothing there is success.
void unpack_carried(const sdk::Call& call, const ContainerTool& tool, const sdk::Plan& plan);

}  // namespace bot_bottle::backend_apple
