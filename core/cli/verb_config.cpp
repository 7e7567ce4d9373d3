// `config check`: every fault of the configuration and of every agent and bottle at once. `config show`: the settings.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "core/base/terminal_text.hpp"
#include "core/cli/settings.hpp"
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
  for (manifest::Fault fault : faults) {
    const bool is_error = fault.severity == manifest::Fault::Severity::error;
    fault.severity = manifest::Fault::Severity::error;  // the line begins with the word already
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

int show_config(Context& context, const LaunchOptions& options) {
  const manifest::SettingLayers layers = load_settings(context, options);
  if (context.output.json) {
    context.print_json({{"schema", "bot-bottle.settings/1"},
                        {"file", context.home().config().string()},
                        {"settings", settings_json(layers)}});
    return 0;
  }
  Table table{.headers = {"SETTING", "VALUE", "FROM"}, .rows = {}};
  if (context.output.verbose) table.headers.insert(table.headers.end(), {"VARIABLE", "ACCEPTS"});
  for (const manifest::SettingKey& key : manifest::setting_keys()) {
    const manifest::ShownSetting shown = manifest::show_setting(layers, key);
    const bool built_in = shown.value == key.built_in;
    table.rows.push_back({Cell(key.key, Tone::strong), Cell(shown.value, built_in ? Tone::dim : Tone::plain),
                          Cell(short_place(shown.place), Tone::dim)});
    if (!context.output.verbose) continue;
    table.rows.back().emplace_back(key.variable, Tone::dim);
    table.rows.back().emplace_back(key.accepts, Tone::dim);
  }
  context.print_table(table);
  context.note("defaults are in " + short_path(context.home().config()) + "; agents and bottles win over them");
  if (!context.output.verbose) context.note("-v shows each setting's variable and what it accepts");
  return 0;
}

}  // namespace

void add_config(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "config", "Check all agents and bottles; show your settings", "Configure",
                            "bot-bottle config check\nbot-bottle config show");
  verb->require_subcommand(1, 1);
  CLI::App* check = add_verb(*verb, "check", "Parse everything and report all problems; exit 1 if there is an error",
                             "Verbs", "bot-bottle config check --json");
  add_json_option(*check, context);
  CLI::App* show = add_verb(*verb, "show", "Your settings, and where each comes from", "Verbs",
                            "bot-bottle config show\nBOT_BOTTLE_MEMORY=4GiB bot-bottle config show --json");
  auto options = std::make_shared<LaunchOptions>();
  add_setting_options(*show, options->settings);
  add_json_option(*show, context);
  show->callback(
      [&context, options] { context.action = [&context, options] { return show_config(context, *options); }; });
  check->callback([&context] { context.action = [&context] { return check_config(context); }; });
}

}  // namespace bot_bottle::cli
