// The images: the agent's from a Dockerfile, the sidecar's from the local binaries. Both are named by a hash of all
// that goes into them, so that the engine's own store is the cache.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

#include "bot_bottle/plugin.hpp"
#include "core/base/result.hpp"
#include "plugins/backend-docker/engine.hpp"
#include "plugins/backend-driven/recipe.hpp"

namespace bot_bottle::backend_docker {

/// bottle-init's mode in a bottle of this plan: not readable, but for the runtime that cannot execute it so
/// (recipe.hpp).
mode_t init_mode_of(const json::object& plan_data);
driven::AgentLayer layer_of(const json::object& plan_data, const std::string& libexec);
/// "bot-bottle/agent:<hash>".
Result<std::string> agent_image_tag(const driven::Recipe& recipe, const driven::AgentLayer& layer,
                                    const std::string& version);
/// Builds it if it is not there, with the engine's own words as progress. Throws.
void ensure_agent_image(Engine& engine, const sdk::Call& call, const std::string& tag, const driven::Recipe& recipe,
                        const driven::AgentLayer& layer, const json::object& labels);

struct SidecarParts {
  std::filesystem::path libexec;
  std::filesystem::path share;
  bool with_git = false;  // git and ssh, for the git gate
};
std::string sidecar_image_tag(const SidecarParts& parts, const std::string& version);
/// Made of the sidecar, bottle-init, the libraries they load, and share; nothing else is in it. Throws.
void ensure_sidecar_image(Engine& engine, const sdk::Host& host, const sdk::Call& call, const std::string& tag,
                          const SidecarParts& parts, const json::object& labels);

/// True: there, and ours. Throws for one of that name without our label.
bool has_own_image(Engine& engine, const std::string& tag);

}  // namespace bot_bottle::backend_docker
