// What the operator's own git configuration runs or reads from inside of the tree (attack G1): hooks in a directory of
// the repository, an included file, a filter that is a script of it. The agent wrote nothing there, and its change of
// such a file runs at the operator's next git command.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

namespace bot_bottle::sync {

class ConfiguredPaths {
 public:
  /// Of the repository `git_dir`, or, where that is none, of the one that git finds in `top`. Nothing without git.
  static ConfiguredPaths load(const std::filesystem::path& top, const std::filesystem::path& git_dir);
  /// Why a change of `path` (relative to `top`, any bytes) needs a look of its own; empty: it does not.
  [[nodiscard]] std::string reason_for(std::string_view path) const;

 private:
  std::map<std::string, std::string> keys_;  // lower-case path, "" the tree itself → git's key
};

}  // namespace bot_bottle::sync
