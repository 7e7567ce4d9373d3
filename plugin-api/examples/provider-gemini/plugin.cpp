// A complete provider by a third party: a command-line agent of the kind of Gemini CLI (program `gemini`, key in
// GEMINI_API_KEY, sent as x-goog-api-key to one host, instructions in ~/.gemini/GEMINI.md).
#include <bot_bottle/plugin.hpp>

namespace sdk = bot_bottle::sdk;

namespace {

class Gemini final : public sdk::AgentProvider {
 public:
  sdk::ProviderDescription describe(const sdk::Call&) override {
    sdk::ProviderDescription description;
    description.display_name = "Gemini CLI";
    description.program = "gemini";
    description.state_paths = {
        "/home/agent/.gemini/tmp"};  // its sessions: they survive the bottle, and resume has them
    return description;
  }

  sdk::ProviderPlan plan(const sdk::Call&, const sdk::ProviderSpec& spec) override {
    if (spec.headless && spec.headless_prompt.empty())
      throw sdk::Error(sdk::Status::invalid_argument, "Gemini CLI needs a prompt to work without a terminal",
                       "bot-bottle run " + spec.agent + " -p 'what to do'");
    const std::string home = spec.guest.home + "/.gemini/";
    sdk::ProviderPlan plan;
    // The agent holds a placeholder. The sidecar puts the operator's key into the header, for this host alone.
    boost::json::object route{{"host", "generativelanguage.googleapis.com"}};
    if (!spec.auth_token_ref.empty()) {
      plan.env["GEMINI_API_KEY"] = "egress-placeholder";
      plan.hidden_env = {"GEMINI_API_KEY"};
      plan.placeholders = {{"egress-placeholder", spec.auth_token_ref}};
      route["auth"] = {{"scheme", "header:x-goog-api-key"}, {"token_ref", spec.auth_token_ref}};
      route["foreign_credentials"] = "refuse";  // nobody else's key may leave through our allowed host
    }
    plan.egress_routes = {route};
    boost::json::object settings{{"privacy", {{"usageStatisticsEnabled", false}}},
                                 {"general", {{"disableAutoUpdate", true}}}};
    if (spec.supervise) settings["mcpServers"] = {{"supervise", {{"httpUrl", "http://supervise:9100/mcp"}}}};
    plan.files = {{home + "settings.json", 0600, boost::json::serialize(settings)},
                  {home + "GEMINI.md", 0600, spec.prompt}};
    plan.argv = {"gemini", "--yolo"};
    if (!spec.model.empty()) plan.argv.insert(plan.argv.end(), {"--model", spec.model});
    plan.argv.insert(plan.argv.end(), spec.args.begin(), spec.args.end());
    plan.resume_argv = plan.argv;
    plan.resume_argv.insert(plan.resume_argv.end(), {"--resume", "latest"});
    plan.headless_argv = spec.resume ? plan.resume_argv : plan.argv;
    plan.headless_argv.insert(plan.headless_argv.end(), {"--output-format", "json"});
    plan.headless_stdin = "prompt";
    plan.ui = {spec.label.empty() ? spec.agent : spec.label, spec.color};
    return plan;
  }
};

}  // namespace

BOT_BOTTLE_PLUGIN("provider-gemini", "1.0.0", "Gemini CLI", Gemini)
