// The backend behind the ABI (backend.h says what each call promises).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "bot_bottle/plugin.hpp"
#include "core/base/unique_fd.hpp"
#include "plugins/backend-docker/engine.hpp"
#include "plugins/backend-docker/engine_facts.hpp"
#include "plugins/backend-docker/names.hpp"
#include "plugins/backend-docker/sidecar_stream.hpp"

namespace bot_bottle::backend_docker {

inline constexpr const char* backend_name = "docker";

class DockerBackend final : public sdk::Backend {
 public:
  ~DockerBackend() override;
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
  /// The engine's client with this call's cancellation; found once.
  Engine& engine(const sdk::Call& call);
  const EngineFacts& facts(const sdk::Call& call);
  /// The agent's container on its way: made, filled and (where files may come later) started beside the sidecar.
  struct Preparation {
    std::string state_dir;
    std::thread worker;
    std::exception_ptr failure;
    std::string container;
    bool started = false;
  };
  void prepare(const sdk::Call& call, const sdk::Plan& plan, Preparation& into);
  void drop_preparation();

  std::unique_ptr<Engine> engine_;
  std::optional<EngineFacts> facts_;
  std::unique_ptr<SidecarStream> stream_;  // while it lives, the sidecar does
  std::unique_ptr<Preparation> preparation_;
};

/// Of the engine that this operator's environment means. Throws when there is none.
std::string engine_socket(const std::string& operator_home);
/// Throws what a bottle that does not run deserves.
std::string running_agent(Engine& engine, const std::string& state_dir);

}  // namespace bot_bottle::backend_docker
