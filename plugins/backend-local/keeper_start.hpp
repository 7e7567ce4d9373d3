// Starts bottle-keeper around a sandbox, and makes the document of a sidecar's: what every backend does whose sidecar
// is a process of this machine.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "bot_bottle/plugin.hpp"
#include "core/base/unique_fd.hpp"
#include "plugins/backend-local/keeper_document.hpp"
#include "plugins/backend-local/processes.hpp"

namespace bot_bottle::backend_local {

struct StartedKeeper {
  pid_t pid = -1;   // our child: to be reaped
  pid_t init = -1;  // the sandbox's first process
};
struct SpawnedKeeper {
  pid_t pid = -1;
  UniqueFd status;  // what it says
  std::string lock;
  std::string state_dir;
};
/// Descriptors are borrowed; -1: none.
SpawnedKeeper spawn_keeper(const sdk::Host& host, const sdk::Call& call, const KeeperDocument& document, int config_fd,
                           int lifeline_fd, int uid_lock_fd);
/// Waits until it is ready or has said why not; in that case it has ended and is reaped.
StartedKeeper await_keeper(const sdk::Call& call, const SpawnedKeeper& keeper);

bool is_root();
/// As root: a uid for this component, the same as last time when it is free; written down for resume and for copies.
ReservedUid reserve_for(const std::string& state_dir, Component component);
/// Throws unavailable.
std::string find_bwrap();
/// Opens a directory of the state that the backend owns; through no link.
UniqueFd open_state_directory(const std::string& path);
/// Who may use a sidecar's control channel, as it sees peers: it knows one uid; root is "unmapped" there.
std::vector<std::uint32_t> sidecar_peers();

struct SidecarProcess {
  std::string slug;
  std::string agent;
  std::string label;
  std::string state_dir;
  std::string rules_database;             // empty or absent: none
  std::vector<std::string> init_options;  // of bottle-init behind --service
  std::vector<std::string> arguments;     // of the sidecar, more
  std::vector<std::string> disabled_guards;
};
/// Makes the sidecar's directories and its keeper's document, and starts the keeper. The wire is still the sidecar's
/// alone (0700).
SpawnedKeeper spawn_sidecar(const sdk::Host& host, const sdk::Call& call, const SidecarProcess& process, int config_fd,
                            int lifeline_fd);

/// As root: lets the bottle's side connect to the sockets of the wire; who can get at the directory at all is decided
/// above it (0700). The directory is the sidecar's: nothing is followed.
void open_wire_to_agent(const std::string& state_dir);

}  // namespace bot_bottle::backend_local
