// What is put into a bottle before its agent starts, and the test of its walls. Called by launch. Throws Failure.
// Hostile input: names of skills and identity from a repository's agent file; output of programs in the bottle.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "core/base/json.hpp"
#include "core/plan/plan.hpp"
#include "core/plugins/registry.hpp"

namespace bot_bottle::launch {

struct ProvisionContext {
  const plan::Plan& plan;
  plugins::Backend& backend;
  plugins::Provider& provider;
  const json::object& bottle;
  const std::map<std::string, std::string>& env;  // the guest's
  std::filesystem::path staging;                  // state/<slug>/provision
  std::function<void(std::string_view)> warn;
};

/// The provider's files, the skills and the git identity below `staging`, as they will stand below the guest's home.
/// True when there is anything. Files that would stand outside the home are refused.
bool stage_files(const plan::Plan& plan, const std::filesystem::path& staging);

/// Stages, copies in with one call, then the provider's own provisioning, its commands (a failure ends the launch), its
/// MCP registrations (a failure is a warning with the command).
void provision(const ProvisionContext& context);
/// The manifest's post_init; a failure ends the launch with its output.
void run_post_init(const ProvisionContext& context);

/// `bottle-init --selftest` inside the bottle: throws refused with the list of what does not hold (spec 09). The bottle
/// document may bring its own argv in `selftest`.
void run_selftest(plugins::Backend& backend, const json::object& bottle);

}  // namespace bot_bottle::launch
