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
  std::vector<std::string> env;  // N=V
  bool yes = false;
  bool dry_run = false;
  bool detach = false;
  bool keep = false;
  bool remove = false;
  std::string prompt;
  std::string timeout;
};

/// --bottle, --backend, --label, … of start and run.
void add_launch_options(CLI::App& verb, LaunchOptions& options);

/// A preserved bottle to go on with; nothing: a new one.
struct Resumed {
  std::string slug;
  std::string backend;
};

/// From options to the agent's exit code.
int launch_bottle(Context& context, const LaunchOptions& options, plan::Session session,
                  const std::vector<std::string>& arguments, const std::optional<Resumed>& resumed);

}  // namespace bot_bottle::cli
