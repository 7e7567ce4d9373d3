#include "copy_config.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "plugins/provider-config/credentials.hpp"
#include "plugins/provider-config/text.hpp"
#include "toml_text.hpp"

namespace bot_bottle::provider_codex {
namespace {

namespace json = sdk::json;
using provider_config::counted;
using provider_config::HostText;

/// Of config.toml what is a matter of taste. All else is left outside, by name: where its model's API is and how to log
/// in there, whom it may trust, what it starts and tells on the host, and whatever a later version adds.
constexpr std::array<std::string_view, 25> of_taste{"model",
                                                    "review_model",
                                                    "model_reasoning_effort",
                                                    "plan_mode_reasoning_effort",
                                                    "model_reasoning_summary",
                                                    "model_verbosity",
                                                    "model_context_window",
                                                    "model_auto_compact_token_limit",
                                                    "tool_output_token_limit",
                                                    "personality",
                                                    "service_tier",
                                                    "hide_agent_reasoning",
                                                    "show_raw_agent_reasoning",
                                                    "developer_instructions",
                                                    "project_doc_max_bytes",
                                                    "project_doc_fallback_filenames",
                                                    "project_root_markers",
                                                    "file_opener",
                                                    "web_search",
                                                    "history",
                                                    "features",
                                                    "tools",
                                                    "memories",
                                                    "agents",
                                                    "tui"};
/// The bottle sets these itself, or nobody asks for them there.
constexpr std::array<std::string_view, 8> silent{
    "projects",           "sandbox_mode", "approval_policy", "sandbox_workspace_write",
    "approvals_reviewer", "notice",       "analytics",       "check_for_update_on_startup"};

template <typename Names>
bool contains(const Names& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

class Copy : private provider_config::ConfigCopier {
 public:
  Copy(const provider_config::Places& places, const std::string& directory)
      : ConfigCopier(places, directory, ".codex") {}

  provider_config::Copied run() {
    if (!tree().is_there()) {
      warn("there is no " + directory() + " to copy");
      return std::move(out);
    }
    json::object config = read_config();
    json::value servers = config.contains("mcp_servers") ? config["mcp_servers"] : json::value(json::object());
    config.erase("mcp_servers");
    take_settings(std::move(config));
    std::vector<std::string> parts;
    const auto part = [&parts](std::size_t number, const std::string& what) {
      if (number > 0) parts.push_back(counted(number, what));
    };
    if (!out.settings.empty()) parts.emplace_back("settings");
    if (copy_file("AGENTS.md", guest("AGENTS.md"))) parts.emplace_back("AGENTS.md");
    part(copy_documents("prompts"), "prompt");
    part(copy_units("skills"), "skill");
    copy_servers(servers, shown("config.toml") + ": mcp_servers", out.mcp_servers);
    part(out.mcp_servers.size(), "MCP server");
    return finish(parts);
  }

 private:
  json::object read_config() {
    const HostText file = tree().read("config.toml", provider_config::max_settings_bytes);
    if (file.fault == HostText::Fault::absent) return {};
    if (file.fault != HostText::Fault::none) {
      warn(shown("config.toml") + " " + std::string(explain(file.fault)) + ": left out");
      return {};
    }
    std::string reason;
    auto config = parse_toml(file.text, reason);
    if (!config)
      throw sdk::Error(sdk::Status::invalid_argument, directory() + "/config.toml: " + reason,
                       "repair it, or start without it: agent_provider.config: fresh");
    return std::move(*config);
  }

  void take_settings(json::object config) {
    for (auto& member : config) {
      const std::string key(member.key());
      if (contains(of_taste, key))
        out.settings[key] = std::move(member.value());
      else if (!contains(silent, key))
        warn(shown("config.toml") + ": " +
             (provider_config::is_credential_value(key) ? std::string(provider_config::removed) : key) +
             " is left out: it is not a matter of taste");
    }
    std::vector<std::string> dropped;
    provider_config::scrub(out.settings, {}, dropped);
    report(shown("config.toml"), dropped);
    rewrite(out.settings);
    // A long text is judged as a text: one sentence of it may hold a token.
    if (const json::value* text = out.settings.if_contains("developer_instructions");
        text != nullptr && text->is_string() && provider_config::holds_credential(text->get_string())) {
      out.settings.erase("developer_instructions");
      report(shown("config.toml"), {"developer_instructions"});
    }
    if (json::value* tui = out.settings.if_contains("tui"); tui != nullptr && tui->is_object())
      tui->get_object().erase("notifications");  // may be a program of the host's
  }
};

}  // namespace

provider_config::Copied copy_config(const provider_config::Places& places, const std::string& directory) {
  return Copy(places, directory).run();
}

}  // namespace bot_bottle::provider_codex
