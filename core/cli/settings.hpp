// The operator's defaults as verbs use them. Called by start, run, resume, info, config and the command line itself.
#pragma once

#include <string>
#include <vector>

#include "core/cli/context.hpp"
#include "core/cli/verb_lifecycle.hpp"
#include "core/manifest/settings.hpp"

namespace bot_bottle::cli {

/// --set KEY=VALUE (repeat).
void add_setting_options(CLI::App& verb, std::vector<std::string>& settings);

/// All layers; the options of a launch are its flags. Throws Failure.
manifest::SettingLayers load_settings(Context& context, const LaunchOptions& options);

/// {KEY: {value, file, line}} of all settings, as they count without an agent and a bottle.
json::object settings_json(const manifest::SettingLayers& layers);

/// Colours and how much is said, where no flag decided. What is wrong with the configuration is not said here: looking
/// around must work with a broken file, and what starts a bottle says it.
void use_output_settings(Context& context);

}  // namespace bot_bottle::cli
