// The images of a bottle: the Dockerfile's as it is, and on top of it what is ours. Named by a hash of what goes into
// them, so that the tool's own store is the cache; below a host that no registry can have (RFC 2606), because a name
// that is not there would be pulled.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bot_bottle/plugin.hpp"
#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "plugins/backend-apple/container_tool.hpp"
#include "plugins/backend-driven/recipe.hpp"

namespace bot_bottle::backend_apple {

inline constexpr const char* image_host = "bot-bottle.invalid";
/// The tool's own; before 1.0 a larger one hung.
inline constexpr std::size_t max_dockerfile = std::size_t{16} << 10;

/// Refuses a Dockerfile that the builder would not take. `kept`: see recipe.hpp.
Result<driven::Recipe> read_apple_recipe(const std::string& dockerfile, const std::vector<std::filesystem::path>& kept);
Result<std::string> base_image_reference(const driven::Recipe& recipe);
Result<std::string> agent_image_reference(const std::string& base, const driven::AgentLayer& layer,
                                          const std::string& version);
driven::AgentLayer layer_of(const json::object& plan_data, const std::string& libexec);

/// Builds both where they are not there. Throws.
void ensure_images(const ContainerTool& tool, const sdk::Call& call, const sdk::Plan& plan,
                   const std::vector<std::filesystem::path>& kept, const std::string& libexec);

/// An image of `parent` with an archive unpacked at `/`. `write` makes the archive at the path that it is given.
void build_on_top(const ContainerTool& tool, const sdk::Call& call, const std::string& reference,
                  const std::string& parent, const std::string& component, const std::string& version,
                  const std::string& state_dir, const std::function<void(const std::string& path)>& write);

}  // namespace bot_bottle::backend_apple
