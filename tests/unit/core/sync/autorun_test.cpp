#include "core/sync/autorun.hpp"

#include <gtest/gtest.h>

#include "core/sync/git_refs.hpp"
#include "core/sync/tree.hpp"

namespace bot_bottle::sync {
namespace {

TEST(Autorun, G1_to_G5_what_runs_by_itself_is_known_by_its_name) {
  for (const char* path : {".git/hooks/pre-commit",
                           ".git/config",
                           "sub/.git",
                           ".gitattributes",
                           "deep/.gitattributes",
                           ".gitmodules",
                           ".vscode/tasks.json",
                           ".idea/workspace.xml",
                           "a/.vscode/settings.json",
                           ".envrc",
                           ".env",
                           ".env.local",
                           ".npmrc",
                           "package.json",
                           "web/package.json",
                           ".github/workflows/ci.yml",
                           ".gitlab-ci.yml",
                           ".circleci/config.yml",
                           "Makefile",
                           "GNUmakefile",
                           "rules.mk",
                           "CMakeLists.txt",
                           "Dockerfile",
                           "Dockerfile.dev",
                           "docker-compose.yml",
                           ".devcontainer/devcontainer.json",
                           ".pre-commit-config.yaml",
                           ".husky/pre-push",
                           ".claude/settings.json",
                           "CLAUDE.md",
                           "AGENTS.md",
                           ".mcp.json",
                           ".cursor/mcp.json",
                           ".codex/config.toml",
                           ".bot-bottle/agents/x.md",
                           "setup.py",
                           "conftest.py",
                           "build.rs",
                           ".cargo/config.toml",
                           "vite.config.ts",
                           ".eslintrc.js",
                           ".vimrc",
                           ".dir-locals.el",
                           "x.code-workspace",
                           "Jenkinsfile",
                           "flake.nix",
                           ".bazelrc",
                           "lib/evil.pth",
                           "justfile"})
    EXPECT_NE(autorun_reason(path), "") << path;
}

// Each is read or run by a common tool that was only started in its directory.
TEST(Autorun, G2_what_tools_of_today_read_by_themselves) {
  for (const char* path : {".devcontainer.json",
                           "docker-compose.override.yml",
                           "compose.override.yaml",
                           "docker-compose.yml",
                           "compose.yaml",
                           "rust-toolchain.toml",
                           "rust-toolchain",
                           "vendor/.hg/hgrc",
                           ".jj/repo/config.toml",
                           ".helix/languages.toml",
                           ".bsp/evil.json",
                           ".Rprofile",
                           "gradle/wrapper/gradle-wrapper.properties",
                           "gradle/wrapper/gradle-wrapper.jar",
                           "convention.gradle.kts",
                           "AGENTS.override.md",
                           ".irbrc",
                           ".pryrc",
                           ".pdbrc",
                           ".pylintrc",
                           ".babelrc",
                           ".eslintrc.json",
                           ".luarc.json",
                           ".npmrc",
                           ".bashrc",
                           ".bazelrc",
                           ".bazeliskrc",
                           ".bazelversion",
                           ".lintstagedrc.yaml",
                           ".gdbinit",
                           ".ghci",
                           "CMakeUserPresets.json",
                           ".dir-locals-2.el",
                           "deno.jsonc",
                           ".pnp.cjs",
                           "ansible.cfg",
                           "BUILD",
                           "Package.swift",
                           "mix.exs",
                           ".mise.toml",
                           "mise.toml",
                           "mise.local.toml",
                           ".config/mise/config.toml",
                           "jupyter_server_config.py",
                           ".user.ini",
                           ".lfsconfig",
                           "main.tf",
                           "App.xcodeproj/project.pbxproj"})
    EXPECT_NE(autorun_reason(path), "") << path;
}

TEST(Autorun, case_and_disguise_do_not_help) {
  for (const char* path :
       {"MAKEFILE", ".GIT/hooks/x", ".Git/config", ".g\u200cit/config", "git~1/config", ".git./config", ".git /hooks/x",
        ".VSCODE/tasks.json", "Package.JSON", ".git::$INDEX_ALLOCATION/config"})
    EXPECT_NE(autorun_reason(path), "") << path;
}

TEST(Autorun, ordinary_work_is_not_gated) {
  for (const char* path : {"README.md", "src/main.cpp", "docs/git.md", "a.git/x", "gitignore", ".gitignore",
                           "makefile/readme.txt", "test_x.py", "index.ts", "data.json", "configure.ac", "env/x",
                           "build/x.o", "src/rc.c", "arc.md", ".gitignore", "compose.md", "etc/rc.d/x"})
    EXPECT_EQ(autorun_reason(path), "") << path;
}

TEST(RefNames, only_plain_ones) {
  for (const char* name : {"main", "feature/x-1", "v1.2_3", "a/b/c"}) EXPECT_TRUE(is_plain_ref_name(name)) << name;
  for (const char* name : {"", "-x", "a/-x", ".a", "a/.b", "a..b", "a.lock", "a/b.lock/c", "a b", "a\nb", "a//b", "/a",
                           "a/", "a:b", "a~1", "\x1b[31m", "\u202e", "a."})
    EXPECT_FALSE(is_plain_ref_name(name)) << name;
}

}  // namespace
}  // namespace bot_bottle::sync
