// The provider for any program: its argv is the manifest's, its prompt comes on standard input.
#include <bot_bottle/plugin.hpp>

namespace {

using namespace bot_bottle::sdk;

class CommandProvider final : public AgentProvider {
 public:
  ProviderDescription describe(const Call& /*call*/) override {
    return {.display_name = "Command", .dockerfile = "Dockerfile"};
  }

  ProviderPlan plan(const Call& /*call*/, const ProviderSpec& spec) override {
    if (spec.command.empty() || spec.command.front().empty())
      throw Error(Status::invalid_argument, "the bottle names no program for its agent",
                  "set agent_provider.command to a list, for example [python3, agent.py]");
    ProviderPlan plan;
    plan.argv = spec.command;
    plan.argv.insert(plan.argv.end(), spec.args.begin(), spec.args.end());
    plan.resume_argv = plan.argv;
    plan.headless_argv = plan.argv;
    plan.headless_stdin = "prompt";
    if (!spec.prompt.empty()) {
      const std::string file = spec.guest.home + "/.bot-bottle/prompt.md";
      plan.files.push_back({.path = file, .mode = 0600, .content = spec.prompt});
      plan.env["BOT_BOTTLE_PROMPT_FILE"] = file;
    }
    if (spec.headless) plan.env["BOT_BOTTLE_PROMPT"] = spec.headless_prompt;
    plan.ui = {.title = spec.label.empty() ? spec.agent : spec.label + " (" + spec.agent + ")", .color = spec.color};
    return plan;
  }
};

}  // namespace

BOT_BOTTLE_PLUGIN("provider-command", "0.1.0", "Runs any program as the agent", CommandProvider)
