// `start [AGENT] [-- ARGS]`: an interactive session in a new bottle, or a detached bottle.
#include <CLI/CLI.hpp>
#include <memory>

#include "core/base/error.hpp"
#include "core/cli/verb_lifecycle.hpp"
#include "core/cli/verbs.hpp"

namespace bot_bottle::cli {
namespace {

int start(Context& context, LaunchOptions options) {
  const std::vector<std::string> rest = take_rest(context, options.words);
  if (options.words.size() > 1)
    throw Failure(make_error(ErrorKind::usage, "unexpected argument '" + options.words[1] + "'", "what is for the agent stands behind --"));
  if (!options.words.empty()) options.agent = options.words.front();
  return launch_bottle(context, options, options.detach ? plan::Session::detached : plan::Session::interactive, rest, std::nullopt);
}

}  // namespace

void add_start(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "start", "Run an agent in a new bottle, with your terminal", "Everyday",
                            "bot-bottle start fixer\nbot-bottle start fixer --label issue-42 --color blue\nbot-bottle start --bottle dev --detach");
  auto options = std::make_shared<LaunchOptions>();
  verb->add_option("AGENT", options->words, "Without it: choose from a list. What stands behind -- goes to the agent")->expected(0, -1);
  add_launch_options(*verb, *options);
  verb->add_flag("-d,--detach", options->detach, "Leave the bottle running and print its name");
  add_json_option(*verb, context);
  verb->callback([&context, options] { context.action = [&context, options] { return start(context, *options); }; });
}

}  // namespace bot_bottle::cli
