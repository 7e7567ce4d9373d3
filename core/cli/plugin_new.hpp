// `plugin new`: a project that builds, from templates that are compiled in (plugin-api/templates; the examples of
// plugin-api/examples are templates, too).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace bot_bottle::cli {

struct PluginTemplate {
  std::string_view name;  // "cpp/CMakeLists.txt"
  std::string_view text;
};
const std::vector<PluginTemplate>& plugin_templates();

struct NewPlugin {
  std::string name;
  std::string kind;      // "provider" or "backend"
  std::string language;  // "cpp", "c" or "rust"
};

/// "" or what is wrong with the name: it becomes a directory, a CMake target or crate, and a word of a manifest.
std::string plugin_name_problem(const NewPlugin& plugin);

struct ProjectFile {
  std::string path;  // below the project's directory
  std::string text;
};
/// The whole project.
std::vector<ProjectFile> make_plugin_project(const NewPlugin& plugin);

/// Makes `directory`, which must not exist, and its files. On failure nothing is left. Throws Failure.
void write_project(const std::filesystem::path& directory, const std::vector<ProjectFile>& files);

}  // namespace bot_bottle::cli
