// A complete provider: an agent that greets and shows what it was given.
#include <bot_bottle/plugin.hpp>

namespace sdk = bot_bottle::sdk;

namespace {

class Hello final : public sdk::AgentProvider {
 public:
  sdk::ProviderDescription describe(const sdk::Call&) override {
    sdk::ProviderDescription description;
    description.display_name = "Hello";
    description.program = "sh";
    return description;
  }

  sdk::ProviderPlan plan(const sdk::Call&, const sdk::ProviderSpec& spec) override {
    if (spec.resume) throw sdk::Error(sdk::Status::unsupported, "hello cannot be resumed", "start a new bottle");
    sdk::ProviderPlan plan;
    plan.env["GREETING"] = "hello";
    plan.files.push_back({spec.guest.home + "/prompt.txt", 0600, spec.prompt});
    plan.argv = {"sh", "-c", "echo \"$GREETING, $1\"; cat ~/prompt.txt", "hello", spec.agent};
    plan.headless_argv = plan.argv;
    plan.ui.title = spec.label.empty() ? spec.agent : spec.label;
    plan.ui.color = spec.color;
    return plan;
  }
};

}  // namespace

BOT_BOTTLE_PLUGIN("hello-cpp", "1.0.0", "A provider in C++ with the SDK", Hello)
