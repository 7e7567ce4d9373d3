#include "core/sync/autorun.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "core/base/text.hpp"
#include "core/sync/tree.hpp"

namespace bot_bottle::sync {
namespace {

using Reason = std::pair<std::string_view, const char*>;

/// A directory or file of that name anywhere in the path, and all below it.
constexpr std::array components{
    Reason{".vscode", "editor tasks and settings"},
    Reason{".vs", "editor tasks and settings"},
    Reason{".idea", "editor tasks and settings"},
    Reason{".fleet", "editor tasks and settings"},
    Reason{".zed", "editor tasks and settings"},
    Reason{".devcontainer", "builds and runs a container"},
    Reason{".husky", "git hooks"},
    Reason{".githooks", "git hooks"},
    Reason{".github", "CI workflows"},
    Reason{".gitea", "CI workflows"},
    Reason{".forgejo", "CI workflows"},
    Reason{".circleci", "CI workflows"},
    Reason{".buildkite", "CI workflows"},
    Reason{".woodpecker", "CI workflows"},
    Reason{".mvn", "build tool's options and extensions"},
    Reason{".cargo", "build tool's options"},
    Reason{".yarn", "the package manager itself"},
    Reason{".bundle", "build tool's options"},
    Reason{".direnv", "shell environment"},
    Reason{".mise", "shell environment"},
    Reason{".claude", "agent configuration"},
    Reason{".codex", "agent configuration"},
    Reason{".gemini", "agent configuration"},
    Reason{".cursor", "agent configuration"},
    Reason{".windsurf", "agent configuration"},
    Reason{".continue", "agent configuration"},
    Reason{".roo", "agent configuration"},
    Reason{".kiro", "agent configuration"},
    Reason{".opencode", "agent configuration"},
    Reason{".clinerules", "agent configuration"},
    Reason{".agents", "agent configuration"},
    Reason{".bot-bottle", "agents of bot-bottle"},
};

/// A file's own name.
constexpr std::array names{
    Reason{".gitattributes", "git filters and drivers"},
    Reason{".gitmodules", "submodules"},
    Reason{".gitconfig", "git configuration"},
    Reason{".envrc", "shell environment"},
    Reason{".env", "environment of tools and agents"},
    Reason{".autoenv", "shell environment"},
    Reason{".tool-versions", "shell environment"},
    Reason{".mise.toml", "shell environment"},
    Reason{"mise.toml", "shell environment"},
    Reason{"flake.nix", "shell environment"},
    Reason{"shell.nix", "shell environment"},
    Reason{"default.nix", "shell environment"},
    Reason{"devbox.json", "shell environment"},
    Reason{".npmrc", "package manager's options"},
    Reason{".yarnrc", "package manager's options"},
    Reason{".yarnrc.yml", "package manager's options"},
    Reason{".pnpmfile.cjs", "package manager's hooks"},
    Reason{"pnpm-workspace.yaml", "package manager's options"},
    Reason{"bunfig.toml", "package manager's options"},
    Reason{"package.json", "package scripts"},
    Reason{"deno.json", "package scripts"},
    Reason{"composer.json", "package scripts"},
    Reason{"binding.gyp", "runs at install"},
    Reason{"gemfile", "code that runs at install"},
    Reason{"rakefile", "build file"},
    Reason{"setup.py", "code that runs at install"},
    Reason{"setup.cfg", "build file"},
    Reason{"pyproject.toml", "build file"},
    Reason{"tox.ini", "build file"},
    Reason{"noxfile.py", "build file"},
    Reason{"conftest.py", "code that runs with any test"},
    Reason{"sitecustomize.py", "code that runs with any Python"},
    Reason{"usercustomize.py", "code that runs with any Python"},
    Reason{"pip.conf", "package manager's options"},
    Reason{"build.rs", "code that runs at build"},
    Reason{"cargo.toml", "build file"},
    Reason{"makefile", "build file"},
    Reason{"gnumakefile", "build file"},
    Reason{"justfile", "build file"},
    Reason{"taskfile.yml", "build file"},
    Reason{"taskfile.yaml", "build file"},
    Reason{"cmakelists.txt", "build file"},
    Reason{"cmakepresets.json", "build file"},
    Reason{"meson.build", "build file"},
    Reason{"configure", "build file"},
    Reason{"build.gradle", "build file"},
    Reason{"build.gradle.kts", "build file"},
    Reason{"settings.gradle", "build file"},
    Reason{"settings.gradle.kts", "build file"},
    Reason{"gradle.properties", "build file"},
    Reason{"gradlew", "build file"},
    Reason{"mvnw", "build file"},
    Reason{"pom.xml", "build file"},
    Reason{"workspace", "build file"},
    Reason{"module.bazel", "build file"},
    Reason{"build.bazel", "build file"},
    Reason{".bazelrc", "build tool's options"},
    Reason{"dockerfile", "builds a container"},
    Reason{"containerfile", "builds a container"},
    Reason{"docker-compose.yml", "runs containers"},
    Reason{"docker-compose.yaml", "runs containers"},
    Reason{"compose.yml", "runs containers"},
    Reason{"compose.yaml", "runs containers"},
    Reason{"vagrantfile", "runs a machine"},
    Reason{"procfile", "starts programs"},
    Reason{"jenkinsfile", "CI workflows"},
    Reason{".gitlab-ci.yml", "CI workflows"},
    Reason{".travis.yml", "CI workflows"},
    Reason{".drone.yml", "CI workflows"},
    Reason{".woodpecker.yml", "CI workflows"},
    Reason{"azure-pipelines.yml", "CI workflows"},
    Reason{"bitbucket-pipelines.yml", "CI workflows"},
    Reason{"appveyor.yml", "CI workflows"},
    Reason{".appveyor.yml", "CI workflows"},
    Reason{".pre-commit-config.yaml", "git hooks"},
    Reason{".pre-commit-hooks.yaml", "git hooks"},
    Reason{"lefthook.yml", "git hooks"},
    Reason{"lefthook.yaml", "git hooks"},
    Reason{".lefthook.yml", "git hooks"},
    Reason{".lintstagedrc", "git hooks"},
    Reason{".exrc", "editor code"},
    Reason{".vimrc", "editor code"},
    Reason{".nvimrc", "editor code"},
    Reason{".nvim.lua", "editor code"},
    Reason{".lvimrc", "editor code"},
    Reason{".dir-locals.el", "editor code"},
    Reason{".bashrc", "shell start file"},
    Reason{".bash_profile", "shell start file"},
    Reason{".profile", "shell start file"},
    Reason{".zshrc", "shell start file"},
    Reason{".zshenv", "shell start file"},
    Reason{".mcp.json", "MCP servers"},
    Reason{"mcp.json", "MCP servers"},
    Reason{"claude.md", "agent instructions"},
    Reason{"claude.local.md", "agent instructions"},
    Reason{"agents.md", "agent instructions"},
    Reason{"gemini.md", "agent instructions"},
    Reason{".cursorrules", "agent instructions"},
    Reason{".windsurfrules", "agent instructions"},
    Reason{".aider.conf.yml", "agent configuration"},
    Reason{"opencode.json", "agent configuration"},
};

constexpr std::array endings{
    Reason{".code-workspace", "editor tasks and settings"},
    Reason{".sublime-project", "editor tasks and settings"},
    Reason{".mk", "build file"},
    Reason{".cmake", "build file"},
    Reason{".bzl", "build file"},
    Reason{".gradle", "build file"},
    Reason{".csproj", "build file"},
    Reason{".targets", "build file"},
    Reason{".props", "build file"},
    Reason{".pth", "code that runs with any Python"},
    Reason{".gemspec", "build file"},
    Reason{".desktop", "starts a program"},
    Reason{".service", "starts a program"},
    Reason{".dockerfile", "builds a container"},
};

/// "vite.config.ts", "eslint.config.mjs": read by tools as code.
bool is_code_config(std::string_view name) {
  for (const std::string_view middle : {".config.", "rc."})
    for (const std::string_view ending : {"js", "cjs", "mjs", "ts", "cts", "mts"})
      if (name.ends_with(std::string(middle) + std::string(ending))) return true;
  return false;
}

}  // namespace

std::string autorun_reason(std::string_view path) {
  const auto parts = split(path, '/');
  for (const std::string_view part : parts) {
    if (is_git_name(part)) return "git hooks and configuration";
    const std::string lower = to_lower(part);
    for (const auto& [name, reason] : components)
      if (lower == name) return reason;
  }
  const std::string name = to_lower(parts.back());
  for (const auto& [known, reason] : names)
    if (name == known) return reason;
  for (const auto& [ending, reason] : endings)
    if (name.ends_with(ending)) return reason;
  if (name.starts_with("dockerfile.") || name.starts_with("makefile.")) return "build file";
  if (name.starts_with(".env.")) return "environment of tools and agents";
  if (name.starts_with(".aider")) return "agent configuration";
  if (is_code_config(name)) return "configuration that is code";
  return {};
}

}  // namespace bot_bottle::sync
