// `stop SLUG…`: ends bottles that run.
#include <CLI/CLI.hpp>
#include <memory>

#include "core/base/error.hpp"
#include "core/cli/verbs.hpp"
#include "core/launch/deploy_keys.hpp"
#include "core/launch/removal.hpp"
#include "core/plugins/registry.hpp"
#include "core/state/slug.hpp"

namespace bot_bottle::cli {
namespace {

struct StopOptions {
  std::vector<std::string> slugs;
  bool remove = false;
};

int stop(Context& context, const StopOptions& options) {
  for (const std::string& slug : options.slugs) state::need_slug(slug);
  const launch::Backends backends = launch::Backends::of(context.registry());
  const launch::AfterStop after = options.remove ? launch::AfterStop::remove : launch::AfterStop::preserve;
  int code = 0;
  // One that cannot be stopped does not keep the others running.
  for (const std::string& slug : options.slugs) {
    try {
      launch::stop_bottle(backends, context.home(), slug, after,
                          [&context](std::string_view text) { context.warn(text); });
      // The process that launched it does so too, if it lives; one of the two finds them gone.
      launch::revoke_deploy_keys(launch::DeployKeyPlugins::of(context.registry()), context.home(), slug);
      context.note(options.remove ? "removed " + slug : "stopped " + slug + " (bot-bottle resume " + slug + ")");
    } catch (const Failure& failure) {
      if (options.slugs.size() == 1) throw;
      context.warn(slug + ": " + failure.error().message +
                   (failure.error().hint.empty() ? "" : " (" + failure.error().hint + ")"));
      code = exit_code_of(failure.error().kind);
    }
  }
  return code;
}

}  // namespace

void add_stop(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "stop", "End bottles; their state is kept unless --rm", "Everyday",
                            "bot-bottle stop fixer-x7k2p\nbot-bottle stop --rm issue-42 issue-43");
  auto options = std::make_shared<StopOptions>();
  verb->add_option("SLUG", options->slugs, "The bottles")->expected(1, -1)->required();
  verb->add_flag("--rm", options->remove, "Remove their state too: what the agents made in them is lost");
  verb->callback([&context, options] { context.action = [&context, options] { return stop(context, *options); }; });
}

}  // namespace bot_bottle::cli
