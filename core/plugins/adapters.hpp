// C tables as the classes of registry.hpp. Each has one instance of the plugin's and makes it at once, ends it at its
// end.
#pragma once

#include <memory>
#include <string>

#include "core/plugins/loaded.hpp"
#include "core/plugins/registry.hpp"

namespace bot_bottle::plugins {

/// `name`: the one in plugin.toml ("backend:local" → "local"). Failure when `create` fails.
std::unique_ptr<Backend> adapt_backend(LoadedPlugin& plugin, std::string name);
std::unique_ptr<Provider> adapt_provider(LoadedPlugin& plugin, std::string name);
std::unique_ptr<DeployKeyProvisioner> adapt_deploy_key(LoadedPlugin& plugin, std::string name);
std::unique_ptr<Freezer> adapt_freezer(LoadedPlugin& plugin, std::string name);

}  // namespace bot_bottle::plugins
