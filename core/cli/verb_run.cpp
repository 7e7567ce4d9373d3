// `run AGENT -p PROMPT`: headless; the agent's output and exit code are the command's.
#include <CLI/CLI.hpp>
#include <memory>

#include "core/base/error.hpp"
#include "core/cli/verb_lifecycle.hpp"
#include "core/cli/verbs.hpp"

namespace bot_bottle::cli {
namespace {

int run(Context& context, const LaunchOptions& options) {
  if (options.agent.empty() && options.bottle.empty())
    throw Failure(make_error(ErrorKind::usage, "'bot-bottle run' needs AGENT or --bottle", "bot-bottle list agents"));
  return launch_bottle(context, options, plan::Session::headless, context.rest, std::nullopt);
}

}  // namespace

void add_run(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "run", "Run an agent in a new bottle without a terminal", "Everyday",
                            "bot-bottle run fixer -p 'fix the failing test'\n"
                            "bot-bottle run fixer -p @task.md --json --timeout 30m\n"
                            "bot-bottle run --bottle build -- make test");
  auto options = std::make_shared<LaunchOptions>();
  verb->add_option("AGENT", options->agent, "What stands behind -- goes to the agent");
  verb->add_option("-p,--prompt", options->prompt, "What it shall do; '-': standard input, '@FILE': a file")
      ->type_name("PROMPT");
  add_launch_options(*verb, *options);
  verb->add_option("--timeout", options->timeout, "Stop it after this time: 90s, 5m, 2h")->type_name("TIME");
  add_json_option(*verb, context);
  verb->callback([&context, options] { context.action = [&context, options] { return run(context, *options); }; });
}

}  // namespace bot_bottle::cli
