// start, run and resume: one function over a list of named steps with an undo each (DESIGN 5). Called by the verbs.
// Throws Failure after everything was undone.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/paths.hpp"
#include "core/launch/deploy_keys.hpp"
#include "core/launch/kept.hpp"
#include "core/launch/signals.hpp"
#include "core/launch/worktree.hpp"
#include "core/manifest/manifest.hpp"
#include "core/plan/plan.hpp"
#include "core/plugins/registry.hpp"
#include "core/tui/progress.hpp"

namespace bot_bottle::launch {

/// What a launch works with; everything is borrowed and outlives it.
struct Parts {
  Home home;
  Installation installation;
  plugins::Backend* backend = nullptr;
  plugins::Provider* provider = nullptr;
  std::filesystem::path provider_directory;  // a relative Dockerfile of the provider stands here
  DeployKeyPlugins deploy_keys;              // used when a repository's key is made by one
  tui::Progress* progress = nullptr;
  Signals* signals = nullptr;
  std::function<void(std::string_view)> note = [](std::string_view) {};  // for the operator, unless quiet
  std::function<void(std::string_view)> warn = [](std::string_view) {};
  std::function<void(std::string_view)> detail = [](std::string_view) {};  // --verbose
  /// What cancels a call of a plugin: signals' descriptor while launching, -1 on the way back.
  std::function<void(int)> set_cancel_fd = [](int) {};
};

/// The pure part: asks provider and backend for their plans and creates nothing. `manifest`, `choices` and `slug`
/// decide.
plan::Plan make_plan(const Parts& parts, manifest::Manifest manifest, plan::Choices choices, std::string slug);

enum class Keep : std::uint8_t {
  automatic,  // exit 0: all is removed; otherwise the state is preserved
  always,
  never,
};
enum class Capture : std::uint8_t { no, yes };  // standard output of a headless agent: in the result instead of written

struct SessionOptions {
  std::map<std::string, std::string> env_answers;  // --env
  std::function<std::string(const std::string& name, const std::string& question)> ask;
  std::optional<std::chrono::milliseconds> timeout;  // headless; resources.timeout applies too
  std::optional<WorktreeRecord> worktree;            // to be made: the workspace is a copy of it
  Keep keep = Keep::automatic;
  Capture capture = Capture::no;
  std::optional<std::string> bottle_override;  // recorded for resume
  std::vector<std::string> settings;           // --set, recorded likewise
};

struct SessionResult {
  std::string slug;
  int code = 0;                // the agent's
  bool preserved = false;      // state/<slug> is kept
  std::vector<KeptPart> kept;  // what that is
  bool clean = true;           // false: an undo failed (it was reported)
  std::string captured;
  bool truncated = false;
  std::chrono::milliseconds time{0};  // from the first step to the agent's end
  json::object counters;              // the sidecar's, at the end: requests, blocked, bytes_in, bytes_out
};

/// Runs the plan. Interactive and headless: until the agent has ended and everything is undone. Detached: until it
/// runs.
SessionResult run_session(const plan::Plan& plan, const Parts& parts, const SessionOptions& options);

}  // namespace bot_bottle::launch
