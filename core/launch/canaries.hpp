// Puts a bottle's canaries (core/plan/canaries.hpp) into it, and remembers them for its next launch. Called by launch.
// Throws Failure. Hostile input: a resumed bottle's home and workspace; what is done there runs inside, as the agent.
#pragma once

#include <vector>

#include "core/launch/provision.hpp"
#include "core/plan/canaries.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::launch {

/// state/<slug>/canaries.json: what earlier launches of this bottle planted.
struct PlantedBefore {
  /// Their values are watched for as long as the bottle lives: a file that the agent changed keeps them.
  std::vector<plan::Canary> canaries;
  std::map<std::string, std::string> digests;  // SHA-256 of a file's content, by its path in the guest

  static PlantedBefore load(const state::Directory& directory);
};

/// Each file where none is; one that an earlier launch planted and nobody changed is replaced. Never another one, and
/// .env only in a git work tree, where it is excluded first (.git/info/exclude) and is not tracked. What could not be
/// planted is told as a warning: a tripwire that is missing stops nobody's work. The paths that hold fresh canaries.
std::vector<std::string> plant_canaries(const ProvisionContext& context, const plan::CanarySet& set,
                                        const PlantedBefore& before, const state::Directory& directory);

}  // namespace bot_bottle::launch
