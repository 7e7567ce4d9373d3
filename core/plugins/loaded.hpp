// A plugin whose library is in this process. Loaded once per process and never unloaded; `init` ran once.
#pragma once

#include <bot_bottle/plugin.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/plugins/host.hpp"
#include "core/plugins/registry.hpp"
#include "core/plugins/trust.hpp"

namespace bot_bottle::plugins {

/// Copies of the plugin's tables, checked.
struct LoadedPlugin {
  std::string name;
  std::string version;
  std::string sha256;
  bb_plugin entry{};
  std::unique_ptr<PluginHost> host;
  std::optional<bb_backend> backend;
  std::optional<bb_provider> provider;
  std::optional<bb_freezer> freezer;
  std::optional<bb_deploy_key> deploy_key;

  [[nodiscard]] bool offers(const std::string& kind) const;
  /// "backend:docker" for each table that the library offers; the name is the plugin's own (no plugin.toml to ask).
  [[nodiscard]] std::vector<std::string> offered() const;
};

/// Opens, compares with what plugin.toml says (`described.provides` may be empty: then nothing is compared) and calls
/// `init`. All faults arrive in one Failure (internal): message "plugin NAME cannot be used: …", details one fault a
/// line.
LoadedPlugin& load_plugin(const Description& described, CheckedLibrary library, HostOptions& options);

/// The registry's end: services of every plugin answer "unavailable" until another registry loads it again.
void forget_options(const HostOptions& options);

}  // namespace bot_bottle::plugins
