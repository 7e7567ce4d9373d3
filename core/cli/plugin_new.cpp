#include "core/cli/plugin_new.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/result.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::cli {
namespace {

constexpr std::size_t longest_name = 40;

/// Targets of the generated CMakeLists.txt and of CMake itself, and what cargo and rustc refuse as a crate.
constexpr std::array taken = std::to_array<std::string_view>(
    {"all",      "clean",      "help",     "install",     "package",   "preinstall", "test",  "unit",   "load",
     "check",    "as",         "async",    "await",       "become",    "box",        "break", "const",  "crate",
     "continue", "core",       "deps",     "do",          "dyn",       "else",       "enum",  "extern", "false",
     "final",    "fn",         "for",      "if",          "impl",      "in",         "let",   "loop",   "macro",
     "match",    "mod",        "move",     "mut",         "alloc",     "abstract",   "build", "ref",    "return",
     "self",     "static",     "std",      "struct",      "super",     "trait",      "true",  "try",    "type",
     "typeof",   "unsafe",     "use",      "unsized",     "virtual",   "where",      "while", "yield",  "priv",
     "override", "proc-macro", "examples", "incremental", "bot-bottle"});

std::string_view template_text(std::string_view name) {
  const auto& all = plugin_templates();
  const auto found =
      std::ranges::find_if(all, [name](const PluginTemplate& candidate) { return candidate.name == name; });
  if (found == all.end())
    throw Failure(make_error(ErrorKind::internal, "the template " + std::string(name) + " is not in this program"));
  return found->text;
}

using Words = std::vector<std::pair<std::string, std::string>>;

/// In one pass, the first word that fits: what was put in is not looked at again ("toy" is in "toy-box").
std::string fill(std::string_view name, const Words& words) {
  const std::string_view text = template_text(name);
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto found =
        std::ranges::find_if(words, [&](const auto& word) { return text.substr(at).starts_with(word.first); });
    if (found == words.end()) {
      out += text[at++];
    } else {
      out += found->second;
      at += found->first.size();
    }
  }
  return out;
}

}  // namespace

std::string plugin_name_problem(const NewPlugin& plugin) {
  const std::string& name = plugin.name;
  const auto is_good = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  if (name.empty() || name.front() < 'a' || name.front() > 'z' || name.back() == '-' ||
      !std::ranges::all_of(name, is_good))
    return "a plugin's name has a-z, 0-9 and -, begins with a letter and does not end with -";
  if (name.size() > longest_name) return "a plugin's name has at most " + std::to_string(longest_name) + " letters";
  if (std::ranges::find(taken, name) != taken.end())
    return "'" + name + "' is a word of the build tools and cannot be a plugin's name";
  return {};
}

std::vector<ProjectFile> make_plugin_project(const NewPlugin& plugin) {
  const bool is_rust = plugin.language == "rust";
  const bool is_backend = plugin.kind == "backend";
  std::string crate = plugin.name;
  std::ranges::replace(crate, '-', '_');
  const std::string use =
      is_backend ? "Then `bot-bottle run AGENT --backend=" + plugin.name + "` and `bot-bottle start` use it."
                 : "Then a bottle with `agent_provider: {template: " + plugin.name + "}` uses it.";
  const Words words{{"@NAME@", plugin.name},
                    {"@KIND@", plugin.kind},
                    {"@CRATE@", crate},
                    {"@DESCRIPTION@", std::string("A ") + plugin.kind + " for bot-bottle"},
                    {"@USE@", use}};
  std::vector<ProjectFile> files{{".gitignore", fill("gitignore", words)},
                                 {"README.md", fill(is_rust ? "README.cargo.md" : "README.cmake.md", words)},
                                 {"plugin.toml", fill("plugin.toml", words)}};
  const auto add = [&](std::string path, std::string_view name, const Words& with) {
    files.push_back({std::move(path), fill(name, with)});
  };
  if (is_rust) {
    add("Cargo.toml", "rust/Cargo.toml", words);
    add("package.sh", "rust/package.sh", words);
    add("src/ffi.rs", "rust/ffi.rs", words);
    add("tests/check.rs", "rust/check.rs", words);
    files.push_back({"src/lib.rs", fill("rust/" + plugin.kind + ".rs", words) + fill("rust/entry.rs", words)});
    return files;
  }
  add("CMakeLists.txt", plugin.language + "/CMakeLists.txt", words);
  if (plugin.language == "c") {
    add("test.c", "c/test.c", words);
    if (is_backend)
      add("plugin.c", "c/plugin_backend.c", words);
    else
      add("plugin.c", "hello-c/plugin.c", {{"hello-c", plugin.name}});
    return files;
  }
  add("test.cpp", is_backend ? "cpp/test_backend.cpp" : "cpp/test_provider.cpp", words);
  if (is_backend)
    add("plugin.cpp", "backend-toy/plugin.cpp", {{"backend-toy", plugin.name}, {"toy", plugin.name}});
  else
    add("plugin.cpp", "hello-cpp/plugin.cpp", {{"hello-cpp", plugin.name}});
  return files;
}

void write_project(const std::filesystem::path& directory, const std::vector<ProjectFile>& files) {
  if (::mkdir(directory.c_str(), 0755) != 0) {
    const int number = errno;
    if (number == EEXIST)
      throw Failure(make_error(ErrorKind::already_exists,
                               directory.string() + " is there already; plugin new never writes into a directory",
                               "--dir ANOTHER, or another name"));
    Error error = error_from_errno("cannot make " + directory.string(), number);
    if (number == ENOENT) error.hint = "mkdir -p " + directory.parent_path().string();
    throw Failure(std::move(error));
  }
  try {
    for (const ProjectFile& file : files) {
      const std::filesystem::path path = directory / file.path;
      or_throw(make_directories(path.parent_path(), 0755));
      or_throw(write_file_fast(path, file.text, 0644));
    }
  } catch (const Failure&) {
    static_cast<void>(remove_tree(directory));
    throw;
  }
}

}  // namespace bot_bottle::cli
