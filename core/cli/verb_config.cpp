// `config check`: every fault of every agent and bottle at once.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "core/base/terminal_text.hpp"
#include "core/cli/show.hpp"
#include "core/cli/verbs.hpp"
#include "core/manifest/manifest.hpp"

namespace bot_bottle::cli {
namespace {

int check_config(Context& context) {
  const manifest::Sources sources = context.sources();
  const auto faults = manifest::check_all(sources);
  std::size_t errors = 0;
  for (const manifest::Fault& fault : faults)
    if (fault.severity == manifest::Fault::Severity::error) ++errors;
  const std::size_t warnings = faults.size() - errors;
  if (context.output.json) {
    json::array items;
    for (const manifest::Fault& fault : faults) items.push_back(manifest::to_json(fault));
    context.print_json({{"schema", "bot-bottle.config-check/1"},
                        {"errors", errors},
                        {"warnings", warnings},
                        {"faults", std::move(items)}});
    return errors == 0 ? 0 : 1;
  }
  for (const manifest::Fault& fault : faults) {
    const bool is_error = fault.severity == manifest::Fault::Severity::error;
    context.out(context.paint(is_error ? "error:" : "warning:", is_error ? Tone::bad : Tone::warning) + " " +
                escape_untrusted_lines(manifest::to_text(fault)));
  }
  const std::size_t agents = manifest::list_agents(sources).files.size();
  const std::size_t bottles = manifest::list_bottles(sources).files.size();
  const auto count = [](std::size_t number, std::string_view what) {
    return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
  };
  context.note(fmt::format("{}, {} checked: {}, {}", count(agents, "agent"), count(bottles, "bottle"),
                           count(errors, "error"), count(warnings, "warning")));
  return errors == 0 ? 0 : 1;
}

}  // namespace

void add_config(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "config", "Check all agents and bottles", "Configure", "bot-bottle config check");
  verb->require_subcommand(1, 1);
  CLI::App* check = add_verb(*verb, "check", "Parse everything and report all problems; exit 1 if there is an error",
                             "Verbs", "bot-bottle config check --json");
  add_json_option(*check, context);
  check->callback([&context] { context.action = [&context] { return check_config(context); }; });
}

}  // namespace bot_bottle::cli
