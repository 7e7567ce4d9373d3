// What start, run and resume share: options → manifest, plugins, plan, preflight, session. Called by those verbs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/cli/context.hpp"
#include "core/launch/launch.hpp"
#include "core/plan/plan.hpp"
#include "core/state/metadata.hpp"

namespace CLI {
class App;
}

namespace bot_bottle::cli {

struct LaunchOptions {
  std::string agent;
  std::string bottle;
  std::string backend;
  std::string label;
  std::string color;
  std::string directory;  // --cwd
  bool no_workspace = false;
  std::optional<bool> worktree;       // --worktree, --no-worktree
  std::vector<std::string> settings;  // --set
  std::vector<std::string> env;       // N=V
  bool yes = false;
  bool dry_run = false;
  bool detach = false;
  bool keep = false;
  bool remove = false;
  std::string prompt;
  std::string timeout;
  std::function<void(const launch::SessionResult&)> on_result;  // instead of telling the operator
};

/// --bottle, --backend, --label, … of start and run.
void add_launch_options(CLI::App& verb, LaunchOptions& options);

/// What was there before: a kept bottle to go on with, or a frozen one that a new bottle starts from.
struct Origin {
  enum class Into : std::uint8_t { same_bottle, new_bottle } into = Into::same_bottle;
  std::string slug;
  std::string backend;
  json::object snapshot;  // bot-bottle.snapshot/1; empty: home and workspace as they were left
};

/// What a kept bottle was started with: agent, bottle, label, colour, directory.
void repeat_options(const state::Metadata& metadata, LaunchOptions& options);

/// From options to the agent's exit code.
int launch_bottle(Context& context, const LaunchOptions& options, plan::Session session,
                  const std::vector<std::string>& arguments, const std::optional<Origin>& origin = std::nullopt);

}  // namespace bot_bottle::cli
