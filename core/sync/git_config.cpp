#include "core/sync/git_config.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "core/base/text.hpp"
#include "core/sync/git.hpp"

namespace bot_bottle::sync {
namespace {

namespace fs = std::filesystem;

/// Keys whose value is a program, a command line or a file of more configuration (git-config(1)).
constexpr const char* keys_that_run =
    "^(core\\.(hookspath|fsmonitor|sshcommand|editor|pager|askpass|attributesfile|alternaterefscommand)"
    "|include\\.path|includeif\\..*\\.path|filter\\..*\\.(clean|smudge|process)|diff\\.external"
    "|diff\\..*\\.(command|textconv)|merge\\..*\\.driver|credential\\.(.*\\.)?helper|gpg\\.(.*\\.)?program"
    "|sequence\\.editor|interactive\\.difffilter|hook\\..*\\.command)$";

/// The words of a command line as paths may stand in it.
std::vector<std::string> words_of(std::string_view command) {
  std::vector<std::string> words(1);
  for (const char c : command) {
    if (std::string_view(" \t\n'\"`;|&()<>=!$").find(c) != std::string_view::npos)
      words.emplace_back();
    else
      words.back() += c;
  }
  return words;
}

/// `word` as a path relative to the repository's top; nothing when it leads elsewhere.
std::optional<std::string> inside(const fs::path& word, const fs::path& top, const fs::path& begin) {
  const fs::path path =
      (word.is_absolute() ? word.lexically_relative(top) : begin / word).lexically_normal().generic_string();
  std::string text = path.string();
  while (text.ends_with('/')) text.pop_back();
  if (text.empty() || text == ".." || text.starts_with("../")) return std::nullopt;
  return text == "." ? std::string() : text;
}

}  // namespace

ConfiguredPaths ConfiguredPaths::load(const fs::path& top, const fs::path& git_dir) {
  ConfiguredPaths paths;
  const auto git = Git::find();
  if (!git) return paths;
  const GitInput here{.cwd = top.string(), .env = {}, .text = {}};
  std::error_code code;
  std::vector<std::string> arguments;
  std::string prefix;  // of `top` in the repository's working tree
  if (fs::is_directory(git_dir, code)) {
    arguments.push_back(git_dir_option(git_dir));
  } else {
    const auto found = git->ask({"rev-parse", "--show-prefix"}, here);
    if (!found) return paths;
    prefix = *found;
  }
  fs::path above = top;
  for (const char c : prefix)
    if (c == '/') above = above.parent_path();
  arguments.insert(arguments.end(), {"config", "--null", "--show-scope", "--get-regexp", keys_that_run});
  const ProcessResult listed = git->attempt(arguments, here);
  const auto fields = split(std::string_view(listed.out), '\0');
  for (std::size_t i = 0; i + 1 < fields.size(); i += 2) {
    if (fields[i] == "command") continue;  // our own -c
    const std::size_t line = fields[i + 1].find('\n');
    if (line == std::string_view::npos) continue;
    const std::string key(fields[i + 1].substr(0, line));
    const std::string_view value = fields[i + 1].substr(line + 1);
    const bool is_path = key == "core.hookspath" || key == "core.attributesfile" || key.ends_with(".path");
    const bool is_local = fields[i] == "local" || fields[i] == "worktree";
    // An included file is looked for beside the one that names it.
    const fs::path begin = key.ends_with(".path") ? ".git" : "";
    for (const std::string& word : is_path ? std::vector<std::string>{std::string(value)} : words_of(value)) {
      if (word.empty() || word.front() == '~' || word.front() == '-') continue;
      // A program's bare name is looked for on PATH and never in the tree.
      if (!is_path && word.find_first_of("/.") == std::string::npos) continue;
      if (key.ends_with(".path") && !is_local && word.front() != '/') continue;
      const auto path = inside(word, above, begin);
      if (!path || (!is_path && path->empty())) continue;
      if ((*path + "/").starts_with(prefix) || path->empty())
        paths.keys_.emplace(to_lower(path->substr(std::min(path->size(), prefix.size()))), key);
      else if (prefix.starts_with(*path + "/"))
        paths.keys_.emplace("", key);
    }
  }
  return paths;
}

std::string ConfiguredPaths::reason_for(std::string_view path) const {
  const std::string lower = to_lower(path);
  for (const auto& [known, key] : keys_)
    if (known.empty() || lower == known || lower.starts_with(known + "/")) return "named by git's " + key;
  return {};
}

}  // namespace bot_bottle::sync
