// `unfreeze SLUG`: lets the traffic of a bottle flow again that a canary's sighting stopped (`on_canary: freeze`).
#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>

#include "core/base/error.hpp"
#include "core/base/terminal_text.hpp"
#include "core/cli/verbs.hpp"
#include "core/launch/control_client.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::cli {
namespace {

constexpr std::chrono::seconds control_time{5};

int unfreeze(Context& context, const std::string& slug) {
  json::object answer;
  try {
    answer = launch::control_call(state::Directory::open(context.home(), slug).control_socket(),
                                  {{"call", "lift_freeze"}}, control_time);
  } catch (const Failure& failure) {
    if (failure.error().kind != ErrorKind::unavailable) throw;
    Error error =
        make_error(ErrorKind::failed_precondition, "the bottle '" + slug + "' does not run", "bot-bottle list active");
    error.details = failure.error().message;
    throw Failure(std::move(error));
  }
  const bool lifted = get_bool(answer, "lifted", false);
  const std::string by = get_string(answer, "frozen_by");
  if (context.output.json) {
    context.print_json(
        {{"schema", "bot-bottle.unfreeze-result/1"}, {"slug", slug}, {"lifted", lifted}, {"frozen_by", by}});
    return 0;
  }
  if (lifted) {
    context.note(slug + ": traffic flows again; it was stopped by " + escape_untrusted(by));
    context.note("  the next sighting stops it again: bot-bottle logs " + slug);
  } else {
    context.note(slug + ": its traffic was not stopped");
  }
  return 0;
}

}  // namespace

void add_unfreeze(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "unfreeze", "Let traffic flow again that a canary's sighting stopped", "Everyday",
                            "bot-bottle logs fixer-x7k2p\nbot-bottle unfreeze fixer-x7k2p");
  auto slug = std::make_shared<std::string>();
  verb->add_option("SLUG", *slug, "The running bottle (egress: on_canary: freeze)")->required();
  add_json_option(*verb, context);
  verb->callback([&context, slug] { context.action = [&context, slug] { return unfreeze(context, *slug); }; });
}

}  // namespace bot_bottle::cli
