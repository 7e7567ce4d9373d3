// The backend behind the ABI (backend.h says what each call promises).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bot_bottle/plugin.hpp"
#include "core/base/result.hpp"
#include "core/base/safe_path.hpp"
#include "core/base/unique_fd.hpp"
#include "plugins/backend-local/copy_tree.hpp"
#include "plugins/backend-local/etc_files.hpp"
#include "plugins/backend-local/keeper_document.hpp"
#include "plugins/backend-local/keeper_start.hpp"
#include "plugins/backend-local/processes.hpp"

namespace bot_bottle::backend_local {

inline constexpr const char* backend_name = "local";

class LocalBackend final : public sdk::Backend {
 public:
  sdk::Probe probe(const sdk::Call& call) override;
  sdk::Plan plan(const sdk::Call& call, const sdk::Spec& spec) override;
  sdk::Sidecar start_sidecar(const sdk::Call& call, const sdk::Plan& plan, int config_fd, int lifeline_fd) override;
  sdk::Bottle launch(const sdk::Call& call, const sdk::Plan& plan, const sdk::LaunchInputs& inputs,
                     int lifeline_fd) override;
  sdk::ExecResult exec(const sdk::Call& call, const sdk::Bottle& bottle, const sdk::ExecRequest& request,
                       int stdin_fd) override;
  sdk::Attach attach_argv(const sdk::Call& call, const sdk::Bottle& bottle, const sdk::ExecRequest& request) override;
  void copy_in(const sdk::Call& call, const sdk::Bottle& bottle, const sdk::CopyRequest& request) override;
  void copy_out(const sdk::Call& call, const sdk::Bottle& bottle, const sdk::CopyRequest& request) override;
  void stop(const sdk::Call& call, const sdk::Bottle& bottle) override;
  void remove(const sdk::Call& call, const sdk::Bottle& bottle) override;
  sdk::Bottles enumerate(const sdk::Call& call) override;
  sdk::Orphans orphans(const sdk::Call& call, const std::vector<std::string>& known) override;
  void cleanup(const sdk::Call& call, const sdk::Orphans& orphans) override;

 private:
  /// A bottle on its way: its files are made and its keeper runs; nothing of it depends on the sidecar.
  struct Prepared {
    std::string state_dir;
    ReservedUid reserved;  // as root
    sdk::Bottle bottle;
    SpawnedKeeper keeper;
    std::pair<dev_t, ino_t> lifeline;  // the pipe that it was given
  };
  Prepared prepare_bottle(const sdk::Call& call, const sdk::Plan& plan, int lifeline_fd);
  /// Ends what start_sidecar began and launch did not take over.
  void drop_prepared();
  void end_both(const std::string& state_dir);
  void reap(pid_t pid);
  void prepare_home(const sdk::Call& call, const sdk::Plan& plan, const std::optional<std::pair<uid_t, gid_t>>& owner);
  /// Home and workspace as they were frozen; as the new owner's.
  void copy_snapshot(const sdk::Call& call, const sdk::Plan& plan, const std::optional<std::pair<uid_t, gid_t>>& owner);
  void copy_workspace(const sdk::Call& call, const sdk::Plan& plan,
                      const std::optional<std::pair<uid_t, gid_t>>& owner);

  std::vector<pid_t> keepers_;        // our children: to be reaped
  std::optional<Prepared> prepared_;  // by start_sidecar, for launch
};

/// The host side of a guest path: a directory to start from and the rest. Throws for what is not below home or
/// workspace.
struct GuestPlace {
  UniqueFd root;
  std::string path;
};
GuestPlace find_guest_place(const json::object& data, const std::string& state_dir, const std::string& guest_path);
/// uid and gid of what is copied in, as root; nothing for an ordinary user.
std::optional<std::pair<uid_t, gid_t>> agent_owner(const std::string& state_dir);
/// Which pipe (or file) it is; zeros for none.
std::pair<dev_t, ino_t> identity_of(int fd);

}  // namespace bot_bottle::backend_local
