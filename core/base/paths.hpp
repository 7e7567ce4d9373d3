// Where the product's own files and the operator's state live. Everyone asks here; nobody else reads
// $HOME, $BOT_BOTTLE_HOME or /proc/self/exe.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace bot_bottle {

/// The installed tree, found from the running program: PREFIX/bin/bot-bottle. The build tree has the
/// same shape, so nothing differs between them.
struct Installation {
  std::filesystem::path bin;      // PREFIX/bin
  std::filesystem::path libexec;  // PREFIX/libexec/bot-bottle: sidecar, bottle-init, bottle-keeper
  std::filesystem::path plugins;  // PREFIX/lib/bot-bottle/plugins/<name>/
  std::filesystem::path share;    // PREFIX/share/bot-bottle: rules/, schemas/

  /// From /proc/self/exe. Works for programs in bin/ and in libexec/bot-bottle/.
  static Result<Installation> find();
};

/// $BOT_BOTTLE_HOME, `--home`, or ~/.bot-bottle (DESIGN 6). Nothing is created here.
struct Home {
  std::filesystem::path root;

  [[nodiscard]] std::filesystem::path bottles() const { return root / "bottles"; }
  [[nodiscard]] std::filesystem::path agents() const { return root / "agents"; }
  [[nodiscard]] std::filesystem::path contrib() const { return root / "contrib"; }
  [[nodiscard]] std::filesystem::path config() const { return root / "config.toml"; }
  [[nodiscard]] std::filesystem::path trust() const { return root / "trust.toml"; }
  [[nodiscard]] std::filesystem::path worktrees() const { return root / "worktrees"; }
  [[nodiscard]] std::filesystem::path audit() const { return root / "audit"; }
  [[nodiscard]] std::filesystem::path cache() const { return root / "cache"; }
  [[nodiscard]] std::filesystem::path state() const { return root / "state"; }
  [[nodiscard]] std::filesystem::path state_of(std::string_view slug) const { return state() / slug; }

  /// `option` is the value of --home, if given. Absolute in the result.
  static Result<Home> find(const std::optional<std::string>& option);
};

/// The operator's home directory: $HOME, or the password database when it is unset.
Result<std::filesystem::path> operator_home();
/// "~/x" and "~" with the operator's home put in; anything else as it is.
Result<std::filesystem::path> expand_tilde(std::string_view path);
/// An environment variable; nothing when unset. (getenv is banned elsewhere by tests/gates.)
std::optional<std::string> environment(const std::string& name);
/// The first executable regular file called `name` on `search_path` (PATH syntax); a name with a
/// slash is taken as it is.
std::optional<std::filesystem::path> find_program(std::string_view name, std::string_view search_path);

}  // namespace bot_bottle
