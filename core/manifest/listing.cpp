// Names by scanning directories: no file is opened, so one broken file never blocks another (spec 01, Lazy).
// Hostile input: the names and kinds of files in a repository.
#include <algorithm>
#include <map>

#include "core/base/text.hpp"
#include "core/manifest/faults.hpp"
#include "core/manifest/scalars.hpp"
#include "core/manifest/source.hpp"

namespace bot_bottle::manifest {
namespace {

namespace fs = std::filesystem;

fs::file_type type_of(const fs::path& path) {
  std::error_code code;
  return fs::symlink_status(path, code).type();
}

void scan(const fs::path& directory, Origin origin, std::string_view what, std::vector<NamedFile>& files,
          Faults& faults) {
  std::error_code code;
  fs::directory_iterator entries(directory, code);
  if (code) {
    if (code != std::errc::no_such_file_or_directory)
      faults.warning({directory, 0, 0}, {}, "the directory cannot be read: " + code.message());
    return;
  }
  for (; entries != fs::directory_iterator(); entries.increment(code)) {
    const fs::path& path = entries->path();
    const std::string file_name = path.filename().string();
    if (file_name.starts_with('.')) continue;  // editors and file managers leave these
    const Place place{path, 0, 0};
    if (path.extension() != ".md") {
      faults.warning(place, {}, "is skipped: " + std::string(what) + " is a file NAME.md");
      continue;
    }
    const std::string name = path.stem().string();
    if (!is_name(name)) {
      faults.warning(place, {}, "is skipped: " + in_quotes(name) + " is not a name",
                     "lower-case letters, digits and '-', beginning with a letter");
      continue;
    }
    const fs::file_type type = entries->symlink_status(code).type();
    // A repository's link could make a file of the operator's an agent's prompt, which the agent then reads.
    if (type == fs::file_type::symlink && origin == Origin::repository) {
      faults.warning(place, {}, "is skipped: a repository's agent must be a file, not a link");
      continue;
    }
    if (type != fs::file_type::regular && type != fs::file_type::symlink) {
      faults.warning(place, {}, "is skipped: not a file");
      continue;
    }
    files.push_back({.name = name, .file = path, .origin = origin});
  }
  if (code) faults.warning({directory, 0, 0}, {}, "the directory cannot be read to its end: " + code.message());
  std::ranges::sort(files, {}, &NamedFile::name);
}

void scan_repository(const fs::path& repository, std::vector<NamedFile>& files, Faults& faults) {
  const fs::path root = repository / ".bot-bottle";
  const fs::path agents = root / "agents";
  for (const fs::path& directory : {root, agents})
    if (type_of(directory) == fs::file_type::symlink) {
      faults.warning({directory, 0, 0}, {},
                     "is ignored: a repository's agents must be files of its own, not behind a link");
      return;
    }
  for (const char* name : {"bottles", "contrib"})
    if (const auto type = type_of(root / name); type != fs::file_type::not_found && type != fs::file_type::none)
      faults.warning({root / name, 0, 0}, {}, "is ignored: a repository can ship agents, never bottles or plugins",
                     "powers come from your home: ~/.bot-bottle/" + std::string(name));
  if (const auto type = type_of(root / "config.toml"); type != fs::file_type::not_found && type != fs::file_type::none)
    faults.warning({root / "config.toml", 0, 0}, {}, "is ignored: a repository cannot set your defaults",
                   "they come from your home: ~/.bot-bottle/config.toml");
  scan(agents, Origin::repository, "an agent", files, faults);
}

bool is_same(const fs::path& a, const fs::path& b) {
  std::error_code code;
  return a.lexically_normal() == b.lexically_normal() || (fs::equivalent(a, b, code) && !code);
}

}  // namespace

Sources Sources::find(const Home& home, const fs::path& cwd) {
  Sources sources{.home = home, .repository = std::nullopt};
  std::error_code code;
  fs::path directory = fs::absolute(cwd, code).lexically_normal();
  if (code) return sources;
  if (!directory.has_filename()) directory = directory.parent_path();
  const auto operators = operator_home();
  while (true) {
    const fs::path candidate = directory / ".bot-bottle";
    // The operator's own directory holds bottles: it is never a repository's.
    const bool own = is_same(candidate, home.root) || (operators && is_same(candidate, *operators / ".bot-bottle"));
    if (!own && fs::is_directory(candidate, code)) {
      sources.repository = directory;
      return sources;
    }
    // The top of a repository ends the search: what lies above may be anybody's (/tmp/.bot-bottle).
    if (fs::exists(directory / ".git", code)) return sources;
    const fs::path parent = directory.parent_path();
    if (parent == directory) return sources;
    directory = parent;
  }
}

std::vector<NamedFile> scan_agents(const Sources& sources, Faults& faults) {
  std::vector<NamedFile> files;
  if (sources.repository) scan_repository(*sources.repository, files, faults);
  std::vector<NamedFile> own;
  scan(sources.home.agents(), Origin::home, "an agent", own, faults);
  files.insert(files.end(), own.begin(), own.end());
  return files;
}

Listing list_agents(const Sources& sources) {
  Faults faults;
  std::map<std::string, NamedFile> by_name;
  // The repository's come first, and the first of a name stays.
  for (NamedFile& file : scan_agents(sources, faults)) {
    std::string name = file.name;
    by_name.emplace(std::move(name), std::move(file));
  }
  Listing listing;
  for (auto& [name, file] : by_name) listing.files.push_back(std::move(file));
  listing.warnings = faults.take();
  return listing;
}

Listing list_bottles(const Sources& sources) {
  Faults faults;
  Listing listing;
  scan(sources.home.bottles(), Origin::home, "a bottle", listing.files, faults);
  listing.warnings = faults.take();
  return listing;
}

}  // namespace bot_bottle::manifest
