// The sidecar as a confined process of this machine, for bottles that are machines of their own. On Linux it is
// bottle-keeper and bubblewrap, as on backend-local; on macOS sandbox-exec(1) around it, held by `bottle-driven keep`.
// And the keeper of a lifeline: what ends a tool's machine when the operator's process is gone.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bot_bottle/plugin.hpp"
#include "core/base/result.hpp"
#include "plugins/backend-driven/tool.hpp"

namespace bot_bottle::driven {

struct HostSidecar {
  std::string slug;
  std::string agent;
  std::string label;
  std::string state_dir;
  std::string rules_database;          // empty: none
  std::vector<std::string> arguments;  // of the sidecar, more ("--egress-address", "127.0.0.21:9099")
  std::vector<std::string> disabled_guards;
  bool has_git_gate = true;  // it may run git and ssh (macOS; on Linux what it runs has no more than it)
};

/// Returns when it runs; backend.h, start_sidecar: config_fd is its standard input, its end follows lifeline_fd (-1:
/// neither). On Linux it also holds `wire/life.sock`, which a bottle-init that is given it as --lifeline follows. On
/// failure nothing is left. The keeper is our child; end_host_sidecar reaps it.
sdk::Sidecar start_host_sidecar(const sdk::Host& host, const sdk::Call& call, const HostSidecar& sidecar, int config_fd,
                                int lifeline_fd);
bool is_sidecar_running(const std::string& state_dir);
/// Nobody there is success.
Result<void> end_host_sidecar(const std::string& state_dir);
/// Lets a tool that runs as somebody else connect to the wire's sockets (as root; else nothing is needed).
void open_wire(const std::string& state_dir);
/// For plan.control_peer_uids.
std::vector<std::uint32_t> host_sidecar_peers();

/// Runs `commands` (arguments of the tool, one after another, each with `deadline`) when lifeline_fd ends, whatever
/// ended it: SIGKILL of the operator's process, a crash, the end of its terminal. Until then it holds the lock
/// `backend/lifeline.lock`. It is our child and follows no signal of the terminal.
struct LifelineKeeper {
  std::string state_dir;
  std::vector<std::vector<std::string>> commands;
  std::chrono::milliseconds deadline{30'000};
};
void start_lifeline_keeper(const sdk::Host& host, const sdk::Call& call, const Tool& tool, const LifelineKeeper& keeper,
                           int lifeline_fd);
/// Without running the commands: the bottle is ended by us. Nobody there is success.
Result<void> end_lifeline_keeper(const std::string& state_dir);
/// A keeper that has run its commands ends by itself: whether it is still there.
bool is_lifeline_kept(const std::string& state_dir);

/// The pid that holds the POSIX lock of a file; the kernel's word.
std::optional<pid_t> find_holder(const std::string& path);
/// SIGTERM, and after `grace` SIGKILL, to who holds it.
Result<void> end_holder(const std::string& path, std::chrono::milliseconds grace);

}  // namespace bot_bottle::driven
