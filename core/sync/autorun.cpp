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
    Reason{".helix", "editor tasks and settings"},
    Reason{".run", "editor tasks and settings"},
    Reason{".settings", "editor tasks and settings"},
    Reason{".bsp", "starts a build server"},
    Reason{".emacs.d", "editor code"},
    Reason{".vim", "editor code"},
    Reason{".nvim", "editor code"},
    Reason{".config", "configuration of programs"},
    Reason{".ssh", "configuration of programs"},
    Reason{".hg", "a repository's hooks and configuration"},
    Reason{".jj", "a repository's hooks and configuration"},
    Reason{".sl", "a repository's hooks and configuration"},
    Reason{".svn", "a repository's hooks and configuration"},
    Reason{".bzr", "a repository's hooks and configuration"},
    Reason{".devcontainer", "builds and runs a container"},
    Reason{".husky", "git hooks"},
    Reason{".githooks", "git hooks"},
    Reason{".github", "CI workflows"},
    Reason{".gitea", "CI workflows"},
    Reason{".forgejo", "CI workflows"},
    Reason{".circleci", "CI workflows"},
    Reason{".buildkite", "CI workflows"},
    Reason{".woodpecker", "CI workflows"},
    Reason{".gitlab", "CI workflows"},
    Reason{".builds", "CI workflows"},
    Reason{".semaphore", "CI workflows"},
    Reason{".azure-pipelines", "CI workflows"},
    Reason{".tekton", "CI workflows"},
    Reason{".mvn", "build tool's options and extensions"},
    Reason{".cargo", "build tool's options"},
    Reason{".yarn", "the package manager itself"},
    Reason{".bundle", "build tool's options"},
    Reason{".direnv", "shell environment"},
    Reason{".mise", "shell environment"},
    Reason{"mise", "shell environment"},
    Reason{".shadowenv.d", "shell environment"},
    Reason{".terraform", "a build tool's own programs"},
    Reason{".claude", "agent configuration"},
    Reason{".codex", "agent configuration"},
    Reason{".gemini", "agent configuration"},
    Reason{".cursor", "agent configuration"},
    Reason{".windsurf", "agent configuration"},
    Reason{".continue", "agent configuration"},
    Reason{".roo", "agent configuration"},
    Reason{".kiro", "agent configuration"},
    Reason{".opencode", "agent configuration"},
    Reason{".amazonq", "agent configuration"},
    Reason{".augment", "agent configuration"},
    Reason{".crush", "agent configuration"},
    Reason{".factory", "agent configuration"},
    Reason{".junie", "agent configuration"},
    Reason{".kilocode", "agent configuration"},
    Reason{".qwen", "agent configuration"},
    Reason{".trae", "agent configuration"},
    Reason{".clinerules", "agent configuration"},
    Reason{".agents", "agent configuration"},
    Reason{".bot-bottle", "agents of bot-bottle"},
};

/// A file's own name.
constexpr std::array names{
    Reason{".gitattributes", "git filters and drivers"},
    Reason{".gitmodules", "submodules"},
    Reason{".gitconfig", "git configuration"},
    Reason{".lfsconfig", "git configuration"},
    Reason{".envrc", "shell environment"},
    Reason{".env", "environment of tools and agents"},
    Reason{".autoenv", "shell environment"},
    Reason{".tool-versions", "shell environment"},
    Reason{".autoenv.zsh", "shell environment"},
    Reason{".flaskenv", "environment of tools and agents"},
    Reason{".renviron", "environment of tools and agents"},
    Reason{".user.ini", "code that runs with any PHP"},
    Reason{".htaccess", "a server's configuration"},
    Reason{"flake.nix", "shell environment"},
    Reason{"shell.nix", "shell environment"},
    Reason{"default.nix", "shell environment"},
    Reason{"devbox.json", "shell environment"},
    Reason{".yarnrc.yml", "package manager's options"},
    Reason{".pnpmfile.cjs", "package manager's hooks"},
    Reason{".pnpmfile.mjs", "package manager's hooks"},
    Reason{".pnp.cjs", "the package manager itself"},
    Reason{".pnp.js", "the package manager itself"},
    Reason{".pnp.loader.mjs", "the package manager itself"},
    Reason{"pnpm-workspace.yaml", "package manager's options"},
    Reason{"bunfig.toml", "package manager's options"},
    Reason{"package.json", "package scripts"},
    Reason{"deno.json", "package scripts"},
    Reason{"deno.jsonc", "package scripts"},
    Reason{"package.json5", "package scripts"},
    Reason{"package.yaml", "package scripts"},
    Reason{"composer.json", "package scripts"},
    Reason{"binding.gyp", "runs at install"},
    Reason{"gemfile", "code that runs at install"},
    Reason{"gems.rb", "code that runs at install"},
    Reason{"podfile", "code that runs at install"},
    Reason{"cpanfile", "code that runs at install"},
    Reason{"rakefile", "build file"},
    Reason{"setup.py", "code that runs at install"},
    Reason{"setup.cfg", "build file"},
    Reason{"pyproject.toml", "build file"},
    Reason{"tox.ini", "build file"},
    Reason{"noxfile.py", "build file"},
    Reason{"pytest.ini", "names code that runs with any test"},
    Reason{"mypy.ini", "names code that a checker runs"},
    Reason{".mypy.ini", "names code that a checker runs"},
    Reason{"pylintrc", "names code that a checker runs"},
    Reason{"phpunit.xml", "names code that runs with any test"},
    Reason{"phpunit.xml.dist", "names code that runs with any test"},
    Reason{"phpstan.neon", "names code that a checker runs"},
    Reason{"phpstan.neon.dist", "names code that a checker runs"},
    Reason{".rubocop.yml", "names code that a checker runs"},
    Reason{".rspec", "names code that runs with any test"},
    Reason{"pipfile", "package manager's options"},
    Reason{"uv.toml", "package manager's options"},
    Reason{"pixi.toml", "build file"},
    Reason{"hatch_build.py", "build file"},
    Reason{"conftest.py", "code that runs with any test"},
    Reason{"sitecustomize.py", "code that runs with any Python"},
    Reason{"usercustomize.py", "code that runs with any Python"},
    Reason{"pip.conf", "package manager's options"},
    Reason{"build.rs", "code that runs at build"},
    Reason{"cargo.toml", "build file"},
    Reason{"rust-toolchain", "chooses the compiler"},
    Reason{"rust-toolchain.toml", "chooses the compiler"},
    Reason{"rust-analyzer.toml", "editor tasks and settings"},
    Reason{".rust-analyzer.toml", "editor tasks and settings"},
    Reason{"makefile", "build file"},
    Reason{"gnumakefile", "build file"},
    Reason{"justfile", "build file"},
    Reason{"taskfile.yml", "build file"},
    Reason{"taskfile.yaml", "build file"},
    Reason{"cmakelists.txt", "build file"},
    Reason{"cmakepresets.json", "build file"},
    Reason{"cmakeuserpresets.json", "build file"},
    Reason{"conanfile.py", "build file"},
    Reason{"conanfile.txt", "build file"},
    Reason{"sconstruct", "build file"},
    Reason{"sconscript", "build file"},
    Reason{"wscript", "build file"},
    Reason{"xmake.lua", "build file"},
    Reason{"premake5.lua", "build file"},
    Reason{"build.ninja", "build file"},
    Reason{"build.zig", "build file"},
    Reason{"package.swift", "build file"},
    Reason{"build.xml", "build file"},
    Reason{"project.clj", "build file"},
    Reason{"mix.exs", "build file"},
    Reason{"rebar.config", "build file"},
    Reason{"makefile.pl", "build file"},
    Reason{"build.pl", "build file"},
    Reason{"dune", "build file"},
    Reason{"meson.build", "build file"},
    Reason{"configure", "build file"},
    Reason{"build.gradle", "build file"},
    Reason{"build.gradle.kts", "build file"},
    Reason{"settings.gradle", "build file"},
    Reason{"settings.gradle.kts", "build file"},
    Reason{"gradle.properties", "build file"},
    Reason{"gradle-wrapper.properties", "chooses the build tool's program"},
    Reason{"gradle-wrapper.jar", "the build tool itself"},
    Reason{"gradlew", "build file"},
    Reason{"mvnw", "build file"},
    Reason{"pom.xml", "build file"},
    Reason{"workspace", "build file"},
    Reason{"workspace.bazel", "build file"},
    Reason{"build", "build file"},
    Reason{"buck", "build file"},
    Reason{".buckconfig", "build tool's options"},
    Reason{".bazelversion", "chooses the build tool's program"},
    Reason{"ansible.cfg", "build tool's options"},
    Reason{"terragrunt.hcl", "build file"},
    Reason{"module.bazel", "build file"},
    Reason{"build.bazel", "build file"},
    Reason{"dockerfile", "builds a container"},
    Reason{"containerfile", "builds a container"},
    Reason{"vagrantfile", "runs a machine"},
    Reason{".devcontainer.json", "builds and runs a container"},
    Reason{"devfile.yaml", "builds and runs a container"},
    Reason{".gitpod.yml", "builds and runs a container"},
    Reason{"tiltfile", "runs containers"},
    Reason{"skaffold.yaml", "runs containers"},
    Reason{"procfile", "starts programs"},
    Reason{"jenkinsfile", "CI workflows"},
    Reason{".cirrus.yml", "CI workflows"},
    Reason{".build.yml", "CI workflows"},
    Reason{".woodpecker.yaml", "CI workflows"},
    Reason{"cloudbuild.yaml", "CI workflows"},
    Reason{"buildspec.yml", "CI workflows"},
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
    Reason{"lefthook-local.yml", "git hooks"},
    Reason{".lefthook-local.yml", "git hooks"},
    Reason{"lefthook.toml", "git hooks"},
    Reason{"lefthook.json", "git hooks"},
    Reason{".overcommit.yml", "git hooks"},
    Reason{".simple-git-hooks.json", "git hooks"},
    Reason{"simple-git-hooks.json", "git hooks"},
    Reason{".nvim.lua", "editor code"},
    Reason{".dir-locals.el", "editor code"},
    Reason{".dir-locals-2.el", "editor code"},
    Reason{".ycm_extra_conf.py", "editor code"},
    Reason{".project", "editor tasks and settings"},
    Reason{".gdbinit", "debugger code"},
    Reason{".lldbinit", "debugger code"},
    Reason{".perldb", "debugger code"},
    Reason{".ghci", "an interpreter's start file"},
    Reason{".iex.exs", "an interpreter's start file"},
    Reason{".formatter.exs", "an interpreter's start file"},
    Reason{".ocamlinit", "an interpreter's start file"},
    Reason{".erlang", "an interpreter's start file"},
    Reason{".rprofile", "an interpreter's start file"},
    Reason{".rdata", "an interpreter's start file"},
    Reason{"startup.m", "an interpreter's start file"},
    Reason{"latexmkrc", "an interpreter's start file"},
    Reason{".bash_profile", "shell start file"},
    Reason{".bash_login", "shell start file"},
    Reason{".bash_logout", "shell start file"},
    Reason{".bash_aliases", "shell start file"},
    Reason{".zprofile", "shell start file"},
    Reason{".zlogin", "shell start file"},
    Reason{".zlogout", "shell start file"},
    Reason{".login", "shell start file"},
    Reason{".xprofile", "shell start file"},
    Reason{".xsession", "shell start file"},
    Reason{".pam_environment", "shell start file"},
    Reason{".profile", "shell start file"},
    Reason{".zshenv", "shell start file"},
    Reason{".mcp.json", "MCP servers"},
    Reason{"mcp.json", "MCP servers"},
    Reason{"claude.md", "agent instructions"},
    Reason{"claude.local.md", "agent instructions"},
    Reason{"agents.md", "agent instructions"},
    Reason{"agents.override.md", "agent instructions"},
    Reason{"qwen.md", "agent instructions"},
    Reason{"warp.md", "agent instructions"},
    Reason{".goosehints", "agent instructions"},
    Reason{"gemini.md", "agent instructions"},
    Reason{".cursorrules", "agent instructions"},
    Reason{".windsurfrules", "agent instructions"},
    Reason{".aider.conf.yml", "agent configuration"},
    Reason{"opencode.json", "agent configuration"},
    Reason{"opencode.jsonc", "agent configuration"},
    Reason{"crush.json", "agent configuration"},
    Reason{".crush.json", "agent configuration"},
};

constexpr std::array endings{
    Reason{".code-workspace", "editor tasks and settings"},
    Reason{".sublime-project", "editor tasks and settings"},
    Reason{".mk", "build file"},
    Reason{".cmake", "build file"},
    Reason{".bzl", "build file"},
    Reason{".gradle", "build file"},
    Reason{".gradle.kts", "build file"},
    Reason{".sbt", "build file"},
    Reason{".nimble", "build file"},
    Reason{".nims", "build file"},
    Reason{".cabal", "build file"},
    Reason{".opam", "build file"},
    Reason{".pbxproj", "build file"},
    Reason{".sln", "build file"},
    Reason{".slnx", "build file"},
    Reason{".vbproj", "build file"},
    Reason{".fsproj", "build file"},
    Reason{".vcxproj", "build file"},
    Reason{".rsp", "build file"},
    Reason{".tf", "build file"},
    Reason{".csproj", "build file"},
    Reason{".targets", "build file"},
    Reason{".props", "build file"},
    Reason{".pth", "code that runs with any Python"},
    Reason{".gemspec", "build file"},
    Reason{".desktop", "starts a program"},
    Reason{".service", "starts a program"},
    Reason{".timer", "starts a program"},
    Reason{".lnk", "starts a program"},
    Reason{".dockerfile", "builds a container"},
};

/// "vite.config.ts", "eslint.config.mjs": read by tools as code.
bool is_code_config(std::string_view name) {
  for (const std::string_view middle : {".config.", "rc."})
    for (const std::string_view ending : {"js", "cjs", "mjs", "ts", "cts", "mts"})
      if (name.ends_with(std::string(middle) + std::string(ending))) return true;
  return false;
}

/// ".bashrc", ".npmrc", ".irbrc", ".babelrc.json": start files and options of the program that they are named after.
bool is_start_file(std::string_view name) {
  return name.starts_with('.') && name.size() > 3 &&
         (name.ends_with("rc") || name.find("rc.") != std::string_view::npos);
}

/// "docker-compose.override.yml" is read with docker-compose.yml; likewise "compose.*.yaml", "mise.local.toml".
bool is_read_with_another(std::string_view name) {
  if (name.ends_with(".yml") || name.ends_with(".yaml"))
    return name.starts_with("docker-compose.") || name.starts_with("compose.");
  return name.ends_with(".toml") && (name.starts_with("mise.") || name.starts_with(".mise."));
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
  if (is_start_file(name)) return "a program's start file";
  if (is_read_with_another(name)) return name.ends_with(".toml") ? "shell environment" : "runs containers";
  // Jupyter reads its configuration from the working directory.
  if (name.starts_with("jupyter_") && name.find("config") != std::string::npos) return "configuration that is code";
  if (is_code_config(name)) return "configuration that is code";
  return {};
}

}  // namespace bot_bottle::sync
