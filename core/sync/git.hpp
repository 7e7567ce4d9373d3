// git, run so that nothing a repository brings is executed: no hook, no filter, no driver, no file-system monitor, no
// pager, no editor. Used by this room only. Hostile input: the objects and names that git reads; its output.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/process.hpp"

namespace bot_bottle::sync {

struct GitInput {
  std::string cwd = "/";
  std::map<std::string, std::string> env;  // besides PATH, HOME and ours
  std::string text;                        // standard input
};

class Git {
 public:
  /// Nothing when git is not installed.
  static std::optional<Git> find();
  /// Throws unavailable when git is not installed. Every filter and merge driver that `git_dir`'s configuration or the
  /// operator's names is switched off for what this runs (worktree_test.py:
  /// the_operators_own_hooks_and_filters_do_not_run_either).
  static Git need(const std::filesystem::path& git_dir);
  /// The same before a repository is known.
  static Git need();

  /// Standard output. Throws what git says when it fails. At most 5 minutes and `max_output` octets.
  [[nodiscard]] std::string run(const std::vector<std::string>& arguments, const GitInput& input = {}) const;
  void call(const std::vector<std::string>& arguments, const GitInput& input = {}) const {
    static_cast<void>(run(arguments, input));
  }
  /// The same without a judgement about its exit code.
  [[nodiscard]] ProcessResult attempt(const std::vector<std::string>& arguments, const GitInput& input = {}) const;
  /// Trimmed output, or nothing when git fails.
  [[nodiscard]] std::optional<std::string> ask(const std::vector<std::string>& arguments,
                                               const GitInput& input = {}) const;

 private:
  explicit Git(std::string program) : program_(std::move(program)) {}
  std::string program_;
  std::vector<std::pair<std::string, std::string>> off_;  // "filter.x.smudge" → ""
};

/// "--git-dir=…".
std::string git_dir_option(const std::filesystem::path& git_dir);

}  // namespace bot_bottle::sync
