// The backend behind the ABI (backend.h says what each call promises): the agent in a microVM, the sidecar a confined
// process of this machine.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bot_bottle/plugin.hpp"
#include "core/base/json.hpp"
#include "plugins/backend-smolvm/machine.hpp"

namespace bot_bottle::backend_smolvm {

inline constexpr const char* backend_name = "smolvm";
inline constexpr const char* snapshot_kind = "machine-image";

class SmolvmBackend final : public sdk::Backend {
 public:
  sdk::Probe probe(const sdk::Call& call) override;
  sdk::Plan plan(const sdk::Call& call, const sdk::Spec& spec) override;
  void build(const sdk::Call& call, const sdk::Plan& plan) override;
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
  /// The program with this call's cancellation; found once.
  Machines& machines(const sdk::Call& call);
  /// Waits for a new machine and makes its files ours. Nothing of the agent's has run.
  void set_up(const sdk::Call& call, const sdk::Plan& plan, const std::string& name, const std::string& ca_pem,
              bool is_new);

  std::optional<Machines> machines_;
};

/// state/<slug>/frozen/<id>/image.tar of a snapshot's name. Throws for what is none: it comes from a file.
std::string snapshot_image(const std::string& state_root, const std::string& ref);

class SmolvmFreezer final : public sdk::Freezer {
 public:
  sdk::Snapshot freeze(const sdk::Call& call, const sdk::Bottle& bottle) override;
  bool exists(const sdk::Call& call, const std::string& ref) override;
  void remove(const sdk::Call& call, const std::string& ref) override;
  void export_to(const sdk::Call& call, const std::string& ref, const std::string& path) override;
};

}  // namespace bot_bottle::backend_smolvm
