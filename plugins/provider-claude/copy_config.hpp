// `agent_provider.config: copy`: what of the operator's own Claude Code configuration the guest gets. Settings, memory,
// subagents, skills, commands, output styles, enabled plugins and MCP definitions; never a login, a history or a
// credential. Pure but for reading. Used by plugin.cpp. Facts: @anthropic-ai/claude-code 2.1.197, tried.
// Hostile input: files in ~/.claude that came from elsewhere (plugins, skills).
#pragma once

#include "plugins/provider-config/config_copier.hpp"

namespace bot_bottle::provider_claude {

using provider_config::Places;

struct CopiedConfig : provider_config::Copied {
  sdk::json::object project_mcp_servers;  // those for the workspace alone
};

/// Throws sdk::Error for a settings.json or .claude.json that is not JSON: guessing what it meant could leak.
CopiedConfig copy_config(const Places& places);

}  // namespace bot_bottle::provider_claude
