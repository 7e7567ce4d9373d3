// `agent_provider.config: copy`: what of the operator's own Codex configuration the guest gets. Settings, AGENTS.md,
// prompts, skills and MCP definitions; never a login, a history or a credential. Pure but for reading. Used by
// plugin.cpp. Facts: @openai/codex 0.169.0, tried. Hostile input: files in ~/.codex that came from elsewhere (skills).
#pragma once

#include <string>

#include "plugins/provider-config/config_copier.hpp"

namespace bot_bottle::provider_codex {

/// `directory`: $CODEX_HOME or ~/.codex. Throws sdk::Error for a config.toml that is no TOML: guessing what it meant
/// could leak.
provider_config::Copied copy_config(const provider_config::Places& places, const std::string& directory);

}  // namespace bot_bottle::provider_codex
