// What a bottle and its sidecar see: the list of mounts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "plugins/backend-local/agent_program.hpp"
#include "plugins/backend-local/keeper_document.hpp"

namespace bot_bottle::backend_local {

struct BottleLayout {
  std::string state_dir;
  std::string libexec;
  std::string rootfs;  // empty: the host's /usr
  std::string guest_home;
  std::string workspace_path;           // empty: none
  std::string workspace_source;         // what is bound there
  bool workspace_is_operators = false;  // mode mount: the operator's own tree
  AgentProgram program;
  std::vector<std::string> bind_ro;
  std::vector<std::string> etc_binds;
  std::uint64_t tmp_bytes = std::uint64_t{1} << 30;
};

/// In bwrap's order. Errors name a mount that would cover a part of the bottle's own.
Result<std::vector<SandboxStep>> bottle_steps(const BottleLayout& layout);

/// For mode `mount`: what must exist before the binds can protect it ({"made": […]}: made by us, to be removed at the
/// end), and the files whose appearance ends the bottle.
struct MountProtection {
  std::vector<std::string> read_only;  // relative to the tree
  std::vector<std::string> made;       // absolute; directories that we made and that must be removed if still empty
  std::vector<std::string> must_stay_absent;  // absolute
  bool has_git_directory = false;
};
/// Looks, and with `make_missing` makes the missing mount points (attack G3: what is absent at start is not protected).
Result<MountProtection> protect_mounted_tree(const std::string& tree, bool make_missing);

std::vector<SandboxStep> sidecar_steps(const std::string& state_dir, const std::string& libexec,
                                       const std::string& share, const std::string& rules_database,
                                       const std::vector<std::string>& own_directories);

}  // namespace bot_bottle::backend_local
