// Finds the agent's program on the host and says what of the host it needs to see.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.hpp"

namespace bot_bottle::backend_local {

struct AgentProgram {
  std::string path;                // what runs inside: the same path as outside
  std::vector<std::string> links;  // symbolic links on the way, as (path) to be made with their targets
  std::vector<std::pair<std::string, std::string>>
      names;                       // bare names that were looked up outside the guest's PATH, and where they are
  std::vector<std::string> binds;  // real files and directories, to be bound read-only at the same place
};

/// `search_path` in PATH syntax. Below /usr nothing is bound: it is there. For a script its interpreter is followed,
/// for a file of an npm package the package's root (with the siblings of its scope that it loads), else the file alone:
/// never a directory that holds more than the program (attack H7), never the operator's home.
Result<AgentProgram> find_agent_program(std::string_view name, std::string_view search_path,
                                        const std::filesystem::path& operator_home);

/// A path of `bind_ro`, checked: absolute, existing, not the operator's home or above it, nothing below /proc, /sys,
/// /dev, /run or `state_home`.
Result<std::string> check_bind(std::string_view path, const std::filesystem::path& operator_home,
                               const std::filesystem::path& state_home);

}  // namespace bot_bottle::backend_local
