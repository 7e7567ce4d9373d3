// `agent_provider.forward_host_credentials`: the operator's own login of the agent program, read by its provider when a
// bottle starts, on its way to the sidecar. Called by launch.cpp. Throws Failure.
#pragma once

#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/plan/plan.hpp"
#include "core/plan/secrets.hpp"
#include "core/plugins/registry.hpp"

namespace bot_bottle::launch {

/// The login's secrets, by the names that the plan gave (`plan.host_secret_names`): those, all of them and no other, or
/// it is the provider's fault. The provider is then asked for its plan again, as it is with this login: its files and
/// placeholders become the plan's. One whose routes would be others than the operator saw is refused.
std::vector<plan::Secret> forward_host_login(plan::Plan& plan, plugins::Provider& provider);

}  // namespace bot_bottle::launch
