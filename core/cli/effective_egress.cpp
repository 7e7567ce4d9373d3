#include "core/cli/effective_egress.hpp"

#include "core/base/error.hpp"
#include "core/plan/plan.hpp"
#include "core/plugins/registry.hpp"

namespace bot_bottle::cli {

policy::Egress effective_egress(Context& context, const manifest::Manifest& manifest) {
  try {
    plan::Plan plan;
    plan.manifest = manifest;
    plan.manifest.provider.config = manifest::AgentProvider::Config::fresh;  // no route depends on what is copied
    plan.choices.workspace =
        plan::WorkspaceChoice::none;  // routes do not depend on it, and nothing shall be refused for it
    plan.choices.cwd = "/";
    plan.host = plan::HostFacts::read(context.home());
    plan.slug = "check";
    plan.state_dir = context.home().state_of(plan.slug);
    plan.provider = manifest.provider.plugin;
    plugins::Provider& provider = context.registry().provider(plan.provider);
    plan.description = provider.describe();
    plan::plan_guest(plan);
    plan.provider_spec = plan::make_provider_spec(plan);
    plan.provider_plan = provider.plan(plan.provider_spec);
    plan::plan_egress(plan);
    for (const std::string& warning : plan.warnings) context.warn(warning);
    return plan.egress;
  } catch (const Failure& failure) {
    context.warn("without the provider's routes: " + failure.error().message +
                 (failure.error().hint.empty() ? "" : " (" + failure.error().hint + ")"));
    return manifest.egress;
  }
}

}  // namespace bot_bottle::cli
