// `agent_provider.config: copy`: what of the operator's own Claude Code configuration the guest gets. Settings, memory,
// subagents, skills, commands, output styles, enabled plugins and MCP definitions; never a login, a history or a
// credential. Pure but for reading. Used by plugin.cpp. Facts: @anthropic-ai/claude-code 2.1.197, tried.
// Hostile input: files in ~/.claude that came from elsewhere (plugins, skills).
#pragma once

#include <bot_bottle/plugin.hpp>
#include <string>
#include <vector>

namespace bot_bottle::provider_claude {

struct Places {
  std::string host_home;       // whose ~/.claude and ~/.claude.json
  std::string host_workspace;  // what becomes `guest_workspace`; may be empty
  std::string guest_home;
  std::string guest_workspace;
};

struct CopiedConfig {
  std::vector<sdk::GuestFile> files;
  sdk::json::object settings;             // below which the bottle's own are laid
  sdk::json::object mcp_servers;          // the user's
  sdk::json::object project_mcp_servers;  // those for the workspace alone
  std::vector<std::string> summary;       // what came over
  std::vector<std::string> warnings;      // what did not, and why; names and places, never a value
};

/// Throws sdk::Error for a settings.json or .claude.json that is not JSON: guessing what it meant could leak.
CopiedConfig copy_config(const Places& places);

}  // namespace bot_bottle::provider_claude
