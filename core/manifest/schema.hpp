// Which keys agents and bottles have, and what they may hold (spec 01, the two tables). Tree in, typed values out.
// Hostile input: the trees of a repository's agent files (read_agent).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/manifest/view.hpp"

namespace bot_bottle::manifest {

/// An agent file's own say. It grants nothing: every power is the bottle's.
struct AgentFile {
  std::optional<std::string> bottle;
  Place bottle_place;
  std::vector<std::pair<std::string, Place>> skills;
  std::optional<std::string> git_name;
  std::optional<std::string> git_email;
  Place git_name_place;
  Place git_email_place;
  std::string model;
  std::string prompt;
};
AgentFile read_agent(const Document& document, Faults& faults);

/// Fills everything of `manifest` that a bottle states, provenance included. `root` is merged along `extends`.
void read_bottle(const Node& root, Manifest& manifest, Faults& faults);
/// The `extends` of one raw bottle document, when it is a name.
std::optional<std::pair<std::string, Place>> read_extends(const Node& root, Faults& faults);

// Blocks of the bottle, each in a file of its own.
void read_egress(const View& block, Manifest& manifest);
/// Checked; in the result host paths are absolute and everything else is as written.
json::object read_git_gate_repos(const View& repos);
std::vector<std::pair<std::string, Place>> read_skills(const View& list);
struct GitUser {
  std::optional<std::string> name;
  std::optional<std::string> email;
  Place name_place;
  Place email_place;
};
GitUser read_git(const View& git);
void read_resources(const View& block, Resources& resources);

/// The tree as JSON; the text of ambiguous words stands in for them.
enum class Ambiguity : std::uint8_t { report, keep };
json::value to_json_value(const View& view, Ambiguity ambiguity);
/// Host pins: name → address.
void check_address(const View& view);

}  // namespace bot_bottle::manifest
