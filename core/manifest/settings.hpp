// The operator's defaults, and who wins: flags, then BOT_BOTTLE_* variables, then the agent, the bottle, config.toml
// and what is built in. Called by the CLI. No hostile input: none of these layers can come from a repository, and what
// an agent file may say is spec 01's alone (settings_test: a_repositorys_agent_sets_nothing_but_its_own_keys). Throws
// Failure with all faults where a verb needs the values; check_settings collects instead.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/manifest/manifest.hpp"

namespace bot_bottle::manifest {

enum class ColorMode : std::uint8_t { automatic, always, never };
enum class LogLevel : std::uint8_t { quiet, normal, verbose, debug };

/// What one layer says; nothing where it is silent.
struct Settings {
  std::optional<std::string> backend;
  std::optional<std::string> tint;
  std::optional<ColorMode> color;
  std::optional<LogLevel> log_level;
  std::optional<std::string> git_name;
  std::optional<std::string> git_email;
  std::optional<Workspace::Mode> workspace_mode;
  std::optional<bool> worktree;
  Resources resources;
  std::map<std::string, Place> places;  // key → where it is said: a line, "$BOT_BOTTLE_X" or "--set x" (line 0)
};

/// One setting on the command line. `flag`: how the operator wrote it.
struct Assignment {
  std::string key;
  std::string value;
  std::string flag;
};

struct SettingLayers {
  Settings flags;
  Settings environment;
  Settings config;
  /// Of those settings that neither agent nor bottle can say. `field`: &Settings::worktree, ….
  template <typename T>
  [[nodiscard]] std::optional<T> find(std::optional<T> Settings::*field) const {
    for (const Settings* layer : {&flags, &environment, &config})
      if (layer->*field) return layer->*field;
    return std::nullopt;
  }
  /// Where the layers together say `key`; nothing: they do not.
  [[nodiscard]] std::optional<Place> find_place(const std::string& key) const;
};

/// A key of config.toml.
struct SettingKey {
  std::string key;
  std::string variable;  // BOT_BOTTLE_…
  std::string flag;      // besides --set KEY=VALUE; may be empty
  std::string built_in;
  std::string accepts;
};
std::span<const SettingKey> setting_keys();

/// "KEY=VALUE" of --set. Throws usage on an unknown key.
Assignment parse_assignment(const std::string& text);

SettingLayers load_settings(const Home& home, const std::vector<Assignment>& assignments);
/// The faults of config.toml and of the variables.
std::vector<Fault> check_settings(const Home& home);

/// Puts them over and under what agent and bottle say, provenance included.
void apply_settings(const SettingLayers& layers, Manifest& manifest);

/// The value that counts as text, and where it comes from ("built-in" when nobody says it): for `config show`.
struct ShownSetting {
  std::string value;
  Place place;
};
ShownSetting show_setting(const SettingLayers& layers, const SettingKey& key);

/// Writes `backend = "NAME"` to config.toml; every other line stays as it is, comments too.
void remember_backend(const Home& home, const std::string& name);

}  // namespace bot_bottle::manifest
