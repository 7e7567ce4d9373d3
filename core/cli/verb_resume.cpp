// `resume SLUG`: goes on with a preserved bottle on the backend it was made on, with its home, workspace and
// transcript.
#include <CLI/CLI.hpp>
#include <memory>

#include "core/base/error.hpp"
#include "core/cli/verb_lifecycle.hpp"
#include "core/cli/verbs.hpp"
#include "core/launch/backends.hpp"
#include "core/plugins/registry.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::cli {
namespace {

int resume(Context& context, const std::string& slug, LaunchOptions options) {
  const state::Directory directory = state::Directory::open(context.home(), slug);
  const state::Metadata metadata = directory.metadata();
  if (metadata.backend.empty())
    throw Failure(make_error(ErrorKind::failed_precondition, "the bottle '" + slug + "' was never launched",
                             "bot-bottle cleanup"));
  if (launch::list_running(launch::Backends::of(context.registry()), context.home()).find(slug) != nullptr)
    throw Failure(make_error(ErrorKind::already_exists, "the bottle '" + slug + "' runs", "bot-bottle attach " + slug));
  // Home and workspace are kept by a backend in its part of the state; one that was removed has nothing to go on with.
  if (!directory.is_preserved() && state::is_being_launched(directory))
    throw Failure(
        make_error(ErrorKind::already_exists, "the bottle '" + slug + "' is being launched", "bot-bottle list active"));
  options.agent = metadata.agent;
  options.bottle = metadata.agent.empty() ? metadata.bottle : metadata.bottle_override.value_or("");
  options.label = metadata.label;
  if (options.color.empty()) options.color = metadata.color;
  options.directory = metadata.cwd;
  options.no_workspace = metadata.no_workspace;
  const plan::Session session = options.detach           ? plan::Session::detached
                                : options.prompt.empty() ? plan::Session::interactive
                                                         : plan::Session::headless;
  return launch_bottle(context, options, session, context.rest.empty() ? metadata.arguments : context.rest,
                       Resumed{slug, metadata.backend});
}

}  // namespace

void add_resume(CLI::App& app, Context& context) {
  CLI::App* verb =
      add_verb(app, "resume", "Go on with a bottle that was kept", "Everyday", "bot-bottle resume fixer-x7k2p");
  auto options = std::make_shared<LaunchOptions>();
  auto slug = std::make_shared<std::string>();
  verb->add_option("SLUG", *slug, "The kept bottle. What stands behind -- goes to the agent")->required();
  verb->add_option("-p,--prompt", options->prompt, "Go on without a terminal, with this prompt; '-' or '@FILE' too")
      ->type_name("PROMPT");
  verb->add_option("--color", options->color, "Tint of terminal and agent")->type_name("COLOR");
  verb->add_option("-e,--env", options->env, "A variable for the agent (repeat)")
      ->type_name("N=V")
      ->allow_extra_args(false);
  verb->add_flag("-y,--yes", options->yes, "Do not ask");
  verb->add_flag("-d,--detach", options->detach, "Leave the bottle running and print its name");
  auto* keep = verb->add_flag("--keep", options->keep, "Keep the bottle's state whatever the exit code");
  verb->add_flag("--rm", options->remove, "Remove the bottle's state whatever the exit code")->excludes(keep);
  verb->add_option("--timeout", options->timeout, "Stop it after this time: 90s, 5m, 2h")->type_name("TIME");
  add_json_option(*verb, context);
  verb->callback([&context, options, slug] {
    context.action = [&context, options, slug] { return resume(context, *slug, *options); };
  });
}

}  // namespace bot_bottle::cli
