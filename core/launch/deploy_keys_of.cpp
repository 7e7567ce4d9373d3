// Apart from the rest, so that tests with fakes need no plugin host.
#include "core/launch/deploy_keys.hpp"

namespace bot_bottle::launch {

DeployKeyPlugins DeployKeyPlugins::of(plugins::Registry& registry) {
  DeployKeyPlugins plugins;
  plugins.get = [&registry](const std::string& name) -> plugins::DeployKeyProvisioner& {
    return registry.deploy_key(name);
  };
  plugins.grant = [&registry](const std::string& provider, const std::string& variable) {
    registry.grant_secret(registry.description_of("deploy-key", provider).name, variable);
  };
  return plugins;
}

}  // namespace bot_bottle::launch
