// A backend whose plan writes, and that never admits what it cannot do.
#include <bot_bottle/plugin.hpp>
#include <fstream>

namespace sdk = bot_bottle::sdk;

namespace {

class Impure final : public sdk::Backend {
 public:
  sdk::Probe probe(const sdk::Call&) override { return {.available = true, .features = {"detach"}}; }
  sdk::Plan plan(const sdk::Call&, const sdk::Spec& spec) override {
    std::ofstream(spec.state_dir + "/written-by-plan") << "x";
    return {.slug = spec.slug, .backend = "subject", .state_dir = spec.state_dir, .summary = {"nothing"}};
  }
  sdk::Sidecar start_sidecar(const sdk::Call&, const sdk::Plan&, int, int) override { return {}; }
  sdk::Bottle launch(const sdk::Call&, const sdk::Plan&, const sdk::LaunchInputs&, int) override { return {}; }
  sdk::ExecResult exec(const sdk::Call&, const sdk::Bottle&, const sdk::ExecRequest&, int) override { return {}; }
  sdk::Attach attach_argv(const sdk::Call&, const sdk::Bottle&, const sdk::ExecRequest&) override { return {}; }
  void copy_in(const sdk::Call&, const sdk::Bottle&, const sdk::CopyRequest&) override {}
  void copy_out(const sdk::Call&, const sdk::Bottle&, const sdk::CopyRequest&) override {}
  void stop(const sdk::Call&, const sdk::Bottle&) override {}
  void remove(const sdk::Call&, const sdk::Bottle&) override {}
  sdk::Bottles enumerate(const sdk::Call&) override { return {}; }
};

}  // namespace

BOT_BOTTLE_PLUGIN("subject", "1.0.0", "A plugin under test", Impure)
