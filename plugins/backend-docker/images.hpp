// The images: the agent's from a Dockerfile, the sidecar's from the local binaries. Both are named by a hash of all
// that goes into them, so that the engine's own store is the cache.
#pragma once

#include <filesystem>
#include <string>

#include "bot_bottle/plugin.hpp"
#include "core/base/result.hpp"
#include "plugins/backend-docker/engine.hpp"

namespace bot_bottle::backend_docker {

struct Recipe {
  std::string dockerfile;  // absolute
  std::string text;
  std::filesystem::path context;  // empty: the Dockerfile takes nothing from it
};

/// Reads it and says what goes with it. The directory it stands in is sent only if it copies from there; a file
/// .dockerignore and BuildKit's own syntax are refused by name. `kept`: directories that must not be sent whole
/// (homes).
Result<Recipe> read_recipe(const std::string& dockerfile, const std::vector<std::filesystem::path>& kept);

/// What the agent's image gets on top: bottle-init, the home and the workspace, the agent's.
struct AgentLayer {
  std::filesystem::path init;  // bottle-init on this machine
  std::string home;
  std::string workspace;
  std::uint32_t uid = 1000;
  std::uint32_t gid = 1000;
};
/// "bot-bottle/agent:<hash>".
Result<std::string> agent_image_tag(const Recipe& recipe, const AgentLayer& layer, const std::string& version);
/// Builds it if it is not there, with the engine's own words as progress. Throws.
void ensure_agent_image(Engine& engine, const sdk::Call& call, const std::string& tag, const Recipe& recipe,
                        const AgentLayer& layer, const json::object& labels);

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

/// The tar of what `layer` says (an archive of its own).
std::string make_layer_tar(const AgentLayer& layer);

}  // namespace bot_bottle::backend_docker
