// The provider for Claude Code. Facts about the program: @anthropic-ai/claude-code 2.1.197, tried against a fake of its
// API.
#include <array>
#include <bot_bottle/plugin.hpp>
#include <string_view>
#include <utility>

#include "copy_config.hpp"
#include "plugins/provider-config/text.hpp"

namespace {

using namespace bot_bottle::sdk;
namespace provider_config = bot_bottle::provider_config;

/// What the agent sends as its token; the sidecar replaces it. Not a secret: it stands in the documents.
constexpr std::string_view placeholder = "egress-placeholder";

std::string shell_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

/// SGR code of the manifest's color names; empty for none.
std::string_view color_code(std::string_view color) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 14> codes{{{"red", "31"},
                                                                                        {"green", "32"},
                                                                                        {"yellow", "33"},
                                                                                        {"blue", "34"},
                                                                                        {"magenta", "35"},
                                                                                        {"cyan", "36"},
                                                                                        {"white", "37"},
                                                                                        {"bright-red", "91"},
                                                                                        {"bright-green", "92"},
                                                                                        {"bright-yellow", "93"},
                                                                                        {"bright-blue", "94"},
                                                                                        {"bright-magenta", "95"},
                                                                                        {"bright-cyan", "96"},
                                                                                        {"bright-white", "97"}}};
  for (const auto& [name, code] : codes)
    if (name == color) return code;
  return {};
}

std::string status_line_command(const ProviderSpec& spec) {
  const std::string text = provider_config::title_of(spec) + " in " + spec.slug;
  const std::string_view code = color_code(spec.color);
  if (code.empty()) return "printf %s " + shell_quoted(text);
  return "printf '\\033[" + std::string(code) + "m%s\\033[0m' " + shell_quoted(text);
}

class ClaudeProvider final : public AgentProvider {
 public:
  ProviderDescription describe(const Call& /*call*/) override {
    return {.display_name = "Claude Code",
            .program = "claude",
            .dockerfile = "Dockerfile",
            .state_paths = {"/home/agent/.claude/projects", "/home/agent/.claude/history.jsonl"},
            .skills_dir = "/home/agent/.claude/skills",
            .config_strategies = {"fresh", "copy"}};
  }

  ProviderPlan plan(const Call& /*call*/, const ProviderSpec& spec) override {
    provider_config::need_a_prompt(spec, "Claude Code");
    ProviderPlan plan;
    plan.env = {{"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"},
                {"DISABLE_TELEMETRY", "1"},
                {"DISABLE_ERROR_REPORTING", "1"},
                {"DISABLE_AUTOUPDATER", "1"},
                {"DISABLE_INSTALLATION_CHECKS", "1"}};
    json::object route{{"host", "api.anthropic.com"}};
    if (!spec.auth_token_ref.empty()) {
      plan.env["CLAUDE_CODE_OAUTH_TOKEN"] = placeholder;
      plan.hidden_env = {"CLAUDE_CODE_OAUTH_TOKEN"};
      plan.placeholders.push_back({.value = std::string(placeholder), .token_ref = spec.auth_token_ref});
      route["auth"] = {{"scheme", "Bearer"}, {"token_ref", spec.auth_token_ref}};
      // Somebody else's key on our allowed host would be a way out (catalogue E3).
      route["foreign_credentials"] = "refuse";
    }
    plan.egress_routes.push_back(std::move(route));

    add_settings(plan, spec);
    plan.argv = {"claude", "--dangerously-skip-permissions"};
    if (!spec.prompt.empty()) {
      const std::string file = spec.guest.home + "/.bot-bottle/prompt.md";
      plan.files.push_back({.path = file, .mode = 0600, .content = spec.prompt});
      plan.argv.insert(plan.argv.end(), {"--append-system-prompt-file", file});
    }
    if (!spec.model.empty() && spec.model != "inherit") plan.argv.insert(plan.argv.end(), {"--model", spec.model});
    plan.resume_argv = plan.argv;
    plan.resume_argv.emplace_back("--continue");
    // The prompt goes over standard input: it may be longer than an argument may be.
    plan.headless_argv = spec.resume ? plan.resume_argv : plan.argv;
    plan.headless_argv.insert(plan.headless_argv.end(), {"--print", "--output-format", "json"});
    plan.headless_stdin = "prompt";
    for (Argv* argv : {&plan.argv, &plan.resume_argv, &plan.headless_argv})
      argv->insert(argv->end(), spec.args.begin(), spec.args.end());
    plan.ui = {.title = provider_config::title_of(spec), .color = spec.color};
    return plan;
  }

 private:
  /// Onboarding, theme, trust and bypass questions answered, so that the first screen is the prompt.
  static void add_settings(ProviderPlan& plan, const ProviderSpec& spec) {
    bot_bottle::provider_claude::CopiedConfig copied;
    if (spec.config == "copy") {
      copied = bot_bottle::provider_claude::copy_config({.host_home = spec.host_home,
                                                         .host_workspace = spec.host_workspace,
                                                         .guest_home = spec.guest.home,
                                                         .guest_workspace = spec.guest.workspace});
      plan.summary = std::move(copied.summary);
      plan.warnings = std::move(copied.warnings);
      // A resumed bottle has them, as the agent left them.
      if (!spec.resume) plan.files.insert(plan.files.end(), copied.files.begin(), copied.files.end());
    }
    json::object project{{"hasTrustDialogAccepted", true}, {"hasCompletedProjectOnboarding", true}};
    if (!copied.project_mcp_servers.empty()) project["mcpServers"] = std::move(copied.project_mcp_servers);
    json::object state{{"hasCompletedOnboarding", true},
                       {"theme", "dark"},
                       {"bypassPermissionsModeAccepted", true},
                       {"projects", json::object{{spec.guest.workspace, std::move(project)}}}};
    // What `claude mcp add --scope user --transport http supervise URL` writes, without a start of the program for it.
    json::object servers = std::move(copied.mcp_servers);
    if (spec.supervise) servers["supervise"] = json::object{{"type", "http"}, {"url", "http://supervise:9100/mcp"}};
    if (!servers.empty()) state["mcpServers"] = std::move(servers);
    json::object settings = std::move(copied.settings);
    if (!settings.contains("theme")) settings["theme"] = "dark";
    if (!settings.contains("includeCoAuthoredBy")) settings["includeCoAuthoredBy"] = true;
    settings["skipDangerousModePermissionPrompt"] = true;
    settings["statusLine"] = json::object{{"type", "command"}, {"command", status_line_command(spec)}};
    // A resumed bottle keeps what the program wrote itself.
    if (!spec.resume)
      plan.files.push_back(
          {.path = spec.guest.home + "/.claude.json", .mode = 0600, .content = json::serialize(state)});
    plan.files.push_back(
        {.path = spec.guest.home + "/.claude/settings.json", .mode = 0600, .content = json::serialize(settings)});
  }
};

}  // namespace

BOT_BOTTLE_PLUGIN("provider-claude", "0.1.0", "Claude Code", ClaudeProvider)
