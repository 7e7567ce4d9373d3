// `start [AGENT] [-- ARGS]`: an interactive session in a new bottle, or a detached bottle.
#include <CLI/CLI.hpp>
#include <memory>

#include "core/cli/verb_lifecycle.hpp"
#include "core/cli/verbs.hpp"

namespace bot_bottle::cli {
void add_start(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "start", "Run an agent in a new bottle, with your terminal", "Everyday",
                            "bot-bottle start fixer\nbot-bottle start fixer --label issue-42 --color blue\nbot-bottle "
                            "start --bottle dev --detach");
  auto options = std::make_shared<LaunchOptions>();
  verb->add_option("AGENT", options->agent, "Without it: choose from a list. What stands behind -- goes to the agent");
  add_launch_options(*verb, *options);
  verb->add_flag("-d,--detach", options->detach, "Leave the bottle running and print its name");
  add_json_option(*verb, context);
  verb->callback([&context, options] {
    context.action = [&context, options] {
      return launch_bottle(context, *options, options->detach ? plan::Session::detached : plan::Session::interactive,
                           context.rest, std::nullopt);
    };
  });
}

}  // namespace bot_bottle::cli
