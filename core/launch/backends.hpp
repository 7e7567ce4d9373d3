// Which backend a launch uses, and what runs on all of them. Called by the life-cycle verbs. Names no plugin.
// Hostile input: labels that a backend reads back from its tool; shown escaped by the caller.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/paths.hpp"
#include "core/plugins/registry.hpp"

namespace bot_bottle::launch {

/// The installed backends; loading one happens at the first `get`.
struct Backends {
  std::vector<std::string> names;
  std::function<plugins::Backend&(const std::string&)> get;
  /// Null where the backend has none.
  std::function<plugins::Freezer*(const std::string&)> find_freezer = nullptr;
  /// Says what cancels their calls from now on (-1: nothing).
  std::function<void(int)> set_cancel_fd = nullptr;
  static Backends of(plugins::Registry& registry);
};

/// Asks each backend whether it can run here. A probe may have a `rank`: lower is preferred (50 when absent), names
/// decide among equals; so the order of spec 08 is the plugins' to state. With several and a `pick`, the operator
/// chooses. unavailable, with each backend's reason and fix, when none can.
using Pick = std::function<std::optional<std::string>(const std::vector<std::string>& names)>;
std::string choose_backend(const Backends& backends, const Pick& pick);

struct RunningBottle {
  std::string backend;
  std::string slug;
  std::string agent;
  std::string label;
  std::string status;              // "running", "degraded"
  std::int64_t started_at_ms = 0;  // 0: not known
  std::vector<std::string> services;
};
struct Running {
  std::vector<RunningBottle> bottles;                 // by slug
  std::vector<std::pair<std::string, Error>> failed;  // backends that could not be asked; not those that are not here
  [[nodiscard]] const RunningBottle* find(const std::string& slug) const;
};
/// All backends' truth, joined with the state directories of `home`. Bottles of another home are left out.
Running list_running(const Backends& backends, const Home& home);

}  // namespace bot_bottle::launch
