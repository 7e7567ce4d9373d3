// Who wins, and how a setting is shown.
#include "core/manifest/settings.hpp"

#include <fmt/format.h>

#include <array>

#include "core/base/clock.hpp"
#include "core/base/text.hpp"
#include "core/manifest/faults.hpp"
#include "core/manifest/settings_names.hpp"

namespace bot_bottle::manifest {
namespace {

/// Whoever runs the program, over what agent and bottle say; the file of defaults, under it.
template <typename Get, typename Put>
void overlay(const SettingLayers& layers, Manifest& manifest, const std::string& key, const Get& get, const Put& put) {
  for (const Settings* layer : {&layers.flags, &layers.environment, &layers.config}) {
    // Guarded by settings_test: a_bottle_wins_over_the_configuration.
    if (layer == &layers.config && manifest.provenance.contains(key)) return;
    const auto value = get(*layer);
    if (!value) continue;
    put(*value);
    manifest.provenance[key] = layer->places.at(key);
    return;
  }
}

template <typename Value>
std::string text_of(const Value& value) {
  return fmt::format("{}", value);
}
std::string text_of(const std::string& value) {
  return value;
}
std::string text_of(ColorMode value) {
  return color_names.at(static_cast<std::size_t>(value));
}
std::string text_of(LogLevel value) {
  return log_level_names.at(static_cast<std::size_t>(value));
}
std::string text_of(Workspace::Mode value) {
  return mode_names.at(static_cast<std::size_t>(value));
}

/// Every key's value as text, in one layer.
std::map<std::string, std::string> texts_of(const Settings& settings) {
  std::map<std::string, std::string> texts;
  const auto add = [&texts](const char* key, const auto& value) {
    if (value) texts[key] = text_of(*value);
  };
  add("backend", settings.backend);
  add("tint", settings.tint);
  add("color", settings.color);
  add("log_level", settings.log_level);
  add("git.user.name", settings.git_name);
  add("git.user.email", settings.git_email);
  add("workspace.mode", settings.workspace_mode);
  add("workspace.worktree", settings.worktree);
  const Resources& resources = settings.resources;
  add("resources.cpus", resources.cpus);
  add("resources.pids", resources.pids);
  if (resources.memory_bytes) texts["resources.memory"] = format_bytes(*resources.memory_bytes);
  if (resources.disk_bytes) texts["resources.disk"] = format_bytes(*resources.disk_bytes);
  if (resources.timeout_ms) texts["resources.timeout"] = format_age(*resources.timeout_ms);
  return texts;
}

}  // namespace

std::optional<Place> SettingLayers::find_place(const std::string& key) const {
  for (const Settings* layer : {&flags, &environment, &config})
    if (const auto found = layer->places.find(key); found != layer->places.end()) return found->second;
  return std::nullopt;
}

void apply_settings(const SettingLayers& layers, Manifest& manifest) {
  const auto apply = [&](const std::string& key, const auto& get, auto& field) {
    overlay(layers, manifest, key, get, [&field](const auto& value) { field = value; });
  };
  apply(
      "backend", [](const Settings& layer) { return layer.backend; }, manifest.backend);
  apply(
      "git.user.name", [](const Settings& layer) { return layer.git_name; }, manifest.git_user.name);
  apply(
      "git.user.email", [](const Settings& layer) { return layer.git_email; }, manifest.git_user.email);
  apply(
      "workspace.mode", [](const Settings& layer) { return layer.workspace_mode; }, manifest.workspace.mode);
  Resources& resources = manifest.resources;
  apply(
      "resources.cpus", [](const Settings& layer) { return layer.resources.cpus; }, resources.cpus);
  apply(
      "resources.memory", [](const Settings& layer) { return layer.resources.memory_bytes; }, resources.memory_bytes);
  apply(
      "resources.pids", [](const Settings& layer) { return layer.resources.pids; }, resources.pids);
  apply(
      "resources.disk", [](const Settings& layer) { return layer.resources.disk_bytes; }, resources.disk_bytes);
  apply(
      "resources.timeout", [](const Settings& layer) { return layer.resources.timeout_ms; }, resources.timeout_ms);
}

ShownSetting show_setting(const SettingLayers& layers, const SettingKey& key) {
  for (const Settings* layer : {&layers.flags, &layers.environment, &layers.config}) {
    const auto texts = texts_of(*layer);
    if (const auto found = texts.find(key.key); found != texts.end()) return {found->second, layer->places.at(key.key)};
  }
  return {key.built_in, {"built-in", 0, 0}};
}

}  // namespace bot_bottle::manifest
