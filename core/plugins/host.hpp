// What one plugin sees of us: log, process, paths, secret, HTTP over a unix socket. Every function may be called from
// any thread of the plugin. Nothing here throws across: services run inside `serve`.
#pragma once

#include <bot_bottle/plugin.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>

#include "core/plugins/registry.hpp"

namespace bot_bottle::plugins {

/// Lives as long as the process, because the plugin keeps a pointer to it; the options behind it change with the
/// registry.
class PluginHost {
 public:
  PluginHost(std::string plugin, std::filesystem::path directory);
  PluginHost(const PluginHost&) = delete;
  PluginHost& operator=(const PluginHost&) = delete;

  [[nodiscard]] const bb_host* raw() const { return &table_; }
  [[nodiscard]] const std::string& plugin() const { return plugin_; }
  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }

  /// Null: the registry is gone; services answer BB_UNAVAILABLE, logs go nowhere.
  void set_options(HostOptions* options);
  /// While `init` runs only `log` may be used: get_service gives NULL and says so in the log.
  void set_initialising(bool initialising) { initialising_ = initialising; }

  void log(std::uint32_t level, std::string_view text);
  /// Under a category of its own: the plugin broke a rule of plugin.h.
  void misbehaving(std::string_view text) { log(BB_LOG_MISBEHAVING, text); }
  void progress(std::uint32_t permille, std::string_view what);

  /// With the options, or nothing when the registry is gone. Held by services while they look something up.
  template <typename Body>
  auto with_options(Body&& body) -> decltype(body(static_cast<HostOptions*>(nullptr))) {
    const std::lock_guard lock(mutex_);
    return body(options_);
  }

 private:
  const void* find_service(const char* id);

  std::string plugin_;
  std::filesystem::path directory_;
  bb_host table_{};
  std::recursive_mutex mutex_;
  HostOptions* options_ = nullptr;
  std::atomic<bool> initialising_ = false;
};

}  // namespace bot_bottle::plugins
