// A temporary $BOT_BOTTLE_HOME with plugins in it, for the tests of loading.
#pragma once

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "core/base/file.hpp"
#include "core/plugins/registry.hpp"

namespace bot_bottle::plugins {

struct LogLine {
  std::uint32_t level = 0;
  std::string plugin;
  std::string text;
};

class PluginHome {
 public:
  PluginHome() {
    std::string pattern = (std::filesystem::temp_directory_path() / "bot-bottle-abi-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    make(contrib());
    make(installed());
  }
  ~PluginHome() { static_cast<void>(remove_tree(root_)); }
  PluginHome(const PluginHome&) = delete;
  PluginHome& operator=(const PluginHome&) = delete;

  [[nodiscard]] std::filesystem::path root() const { return root_; }
  [[nodiscard]] std::filesystem::path contrib() const { return root_ / "home" / "contrib"; }
  [[nodiscard]] std::filesystem::path installed() const { return root_ / "prefix" / "lib" / "bot-bottle" / "plugins"; }
  [[nodiscard]] std::filesystem::path trust_file() const { return root_ / "home" / "trust.toml"; }

  static std::filesystem::path subject(const std::string& name) {
    return std::filesystem::path(BB_SUBJECTS) / (name + ".so");
  }
  static std::string toml(const std::string& name, const std::string& provides, const std::string& more = {}) {
    const std::string defaults =
        "name = \"" + name + "\"\nprovides = [" + provides + "]\nlibrary = \"it.so\"\ndescription = \"under test\"\n";
    return defaults + (more.empty() ? "version = \"1.0.0\"\nabi = \"1.0\"\n" : more);
  }

  /// A directory `name` below `where` with the library of tests/abi/bad/<subject> as "it.so".
  std::filesystem::path add(const std::filesystem::path& where, const std::string& name,
                            const std::string& subject_name, const std::string& text) {
    const std::filesystem::path directory = where / name;
    make(directory);
    if (!subject_name.empty()) put(subject(subject_name), directory / "it.so");
    if (!text.empty()) or_throw(write_file_fast(directory / "plugin.toml", text, 0644));
    return directory;
  }
  /// The common case: installed, named "subject", a provider.
  std::filesystem::path add_installed(const std::string& subject_name, const std::string& more = {}) {
    return add(installed(), "subject", subject_name, toml("subject", "\"provider:subject\"", more));
  }
  static void put(const std::filesystem::path& from, const std::filesystem::path& to) {
    std::filesystem::remove(to);
    std::filesystem::copy_file(from, to);
    ::chmod(to.c_str(), 0755);
  }
  static void make(const std::filesystem::path& directory) { or_throw(make_directories(directory, 0755)); }

  [[nodiscard]] HostOptions options() {
    HostOptions out;
    out.home.root = root_ / "home";
    out.installation.plugins = installed();
    out.installation.share = std::filesystem::path(BB_BUILD_DIR) / "share" / "bot-bottle";
    out.installation.libexec = root_ / "prefix" / "libexec";
    out.on_log = [this](std::uint32_t level, const std::string& plugin, const std::string& text) {
      logs.push_back({level, plugin, text});
    };
    return out;
  }

  std::vector<LogLine> logs;

 private:
  std::filesystem::path root_;
};

/// What an operator would read: message, details and hint of the failure of `body`; "" when it does not fail.
template <typename Body>
std::string failure_of(Body&& body) {
  try {
    body();
    return {};
  } catch (const Failure& failure) {
    const Error& error = failure.error();
    return error.message + "\n" + error.details + "\n" + error.hint;
  }
}

}  // namespace bot_bottle::plugins
