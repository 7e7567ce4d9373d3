// What stays of a bottle that ended, and how large it is. Called at the end of a session and by `list`. Hostile input:
// the agent's files, counted and never opened; the answer of a program in the bottle, which may lie about sizes.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/launch/session_file.hpp"
#include "core/plugins/registry.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::launch {

struct KeptPart {
  std::string name;                    // "workspace", "home", "transcript"
  std::optional<std::uint64_t> bytes;  // nothing: it could not be told
  bool at_least = false;               // counting took too long
};

/// A tree's files, without following links or leaving its file system; stops after `patience`.
struct TreeSize {
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;
  bool complete = true;
};
TreeSize measure_tree(const std::filesystem::path& root, std::chrono::milliseconds patience);

/// Home and workspace as `du` in the bottle says, which still runs; without a size where there is no `du`. Never
/// throws.
std::vector<KeptPart> measure_bottle(plugins::Backend& backend, const json::object& bottle, const SessionFile& session);

/// "workspace 14.2 MiB, transcript 1.2 MiB (3 files), home 3.1 MiB".
std::string describe(const std::vector<KeptPart>& parts);

/// False when there is surely no transcript in the bottle's home: `--continue` has nothing to go on with. Asks the
/// bottle, which runs, and believes nothing but a clear no.
bool may_have_transcript(plugins::Backend& backend, const json::object& bottle, const SessionFile& session);

/// How a bottle that does not run came to be kept: "ended with code 3". Empty: it is not kept.
std::string why_kept(const state::Directory& directory);

}  // namespace bot_bottle::launch
