// The backend behind the ABI (backend.h says what each call promises).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bot_bottle/plugin.hpp"
#include "core/base/json.hpp"
#include "plugins/backend-apple/container_tool.hpp"
#include "plugins/backend-driven/guest_ops.hpp"

namespace bot_bottle::backend_apple {

inline constexpr const char* backend_name = "apple";

class AppleBackend final : public sdk::Backend {
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
  /// With this call's cancellation; found once. Throws unavailable.
  ContainerTool& tool(const sdk::Call& call);
  driven::OpenChannel channel(const sdk::Call& call, const sdk::Bottle& bottle);
  void start_agent(const sdk::Call& call, const sdk::Plan& plan, const sdk::LaunchInputs& inputs,
                   const std::string& container, bool is_new);

  std::unique_ptr<ContainerTool> tool_;
};

/// Refuses by name what cannot isolate: too old a container, too old a macOS, a service that does not run. Throws
/// unavailable.
void check_usable(ContainerTool& tool);

}  // namespace bot_bottle::backend_apple
