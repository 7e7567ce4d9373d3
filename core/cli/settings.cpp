#include "core/cli/settings.hpp"

#include <CLI/CLI.hpp>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/tui/terminal.hpp"

namespace bot_bottle::cli {
namespace {

void check_tint(const manifest::SettingLayers& layers) {
  const auto tint = layers.find(&manifest::Settings::tint);
  if (!tint || tint->empty() || tui::find_tint(*tint)) return;
  const manifest::Fault fault{.place = layers.find_place("tint").value_or(manifest::Place{}),
                              .key_path = "tint",
                              .message = "no color '" + *tint + "'",
                              .hint = "one of: " + join(tui::tint_names(), " ")};
  throw Failure(make_error(ErrorKind::invalid_argument, to_text(fault), "bot-bottle config check"));
}

}  // namespace

void add_setting_options(CLI::App& verb, std::vector<std::string>& settings) {
  verb.add_option("--set", settings, "A setting for this run alone; 'bot-bottle config show' lists them (repeat)")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
}

manifest::SettingLayers load_settings(Context& context, const LaunchOptions& options) {
  std::vector<manifest::Assignment> assignments;
  for (const std::string& text : options.settings) assignments.push_back(manifest::parse_assignment(text));
  // What has an option of its own wins over --set: it stands later here.
  if (!options.backend.empty()) assignments.push_back({"backend", options.backend, "--backend"});
  if (!options.color.empty()) assignments.push_back({"tint", options.color, "--color"});
  if (options.no_workspace) assignments.push_back({"workspace.mode", "none", "--no-workspace"});
  if (options.worktree)
    assignments.push_back({"workspace.worktree", *options.worktree ? "true" : "false",
                           *options.worktree ? "--worktree" : "--no-worktree"});
  manifest::SettingLayers layers = manifest::load_settings(context.home(), assignments);
  check_tint(layers);
  return layers;
}

json::object settings_json(const manifest::SettingLayers& layers) {
  json::object document;
  for (const manifest::SettingKey& key : manifest::setting_keys()) {
    const manifest::ShownSetting shown = manifest::show_setting(layers, key);
    document[key.key] = {{"value", shown.value},
                         {"file", shown.place.file.string()},
                         {"line", shown.place.line},
                         {"column", shown.place.column}};
  }
  return document;
}

void use_output_settings(Context& context) {
  manifest::SettingLayers layers;
  try {
    layers = manifest::load_settings(context.home(), {});
  } catch (const Failure&) {
    return;
  }
  OutputOptions& output = context.output;
  if (const auto color = layers.find(&manifest::Settings::color); color && !context.no_color) {
    // NO_COLOR is the environment's word too: our own variable wins over it, the file does not.
    const bool no_color = !environment("NO_COLOR").value_or("").empty() && !layers.environment.color;
    if (!no_color && *color == manifest::ColorMode::always) output.color = true;
    if (*color == manifest::ColorMode::never) output.color = false;
  }
  const auto level = layers.find(&manifest::Settings::log_level);
  if (!level || output.quiet || output.verbose || output.debug) return;
  output.quiet = *level == manifest::LogLevel::quiet;
  output.debug = *level == manifest::LogLevel::debug;
  output.verbose = *level == manifest::LogLevel::verbose || output.debug;
}

}  // namespace bot_bottle::cli
