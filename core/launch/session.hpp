// What run_session() is inside. Used by launch.cpp and its two other halves alone.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/secret.hpp"
#include "core/base/unique_fd.hpp"
#include "core/launch/attach.hpp"
#include "core/launch/canaries.hpp"
#include "core/launch/launch.hpp"
#include "core/launch/provision.hpp"
#include "core/launch/session_file.hpp"
#include "core/launch/steps.hpp"
#include "core/plan/secrets.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::launch {

/// What the undos do: nothing is decided in them.
enum class End : std::uint8_t { remove, preserve, leave };

/// One way from the plan to the end: launch.cpp starts it, session_agent.cpp runs the agent in it, session_end.cpp
/// takes it back.
class Session {
 public:
  Session(const plan::Plan& plan, const Parts& parts, const SessionOptions& options)
      : plan_(plan), parts_(parts), options_(options), steps_(*parts.progress, *parts.signals) {
    end_ = is_resume() ? End::preserve : End::remove;  // a launch that fails takes nothing of an older one with it
  }

  SessionResult run();

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] bool is_resume() const { return plan_.choices.home == plan::GuestHome::reused; }
  [[nodiscard]] bool is_headless() const { return plan_.choices.session == plan::Session::headless; }
  [[nodiscard]] bool is_detached() const { return plan_.choices.session == plan::Session::detached; }

  void launch();
  void load_secrets();
  void reserve();
  void make_worktree();
  void make_git_keys();
  void start_sidecar();
  void start_bottle();
  void provision_bottle(const ProvisionContext& context);
  void run_agent();
  AttachResult attach_once(const std::vector<std::string>& argv);
  void after_agent(const AttachResult& attached);
  void unwind();
  [[nodiscard]] bool has_snapshot() const;
  UniqueFd wait_for_commit();
  void end_bottle(const json::object& document);
  [[nodiscard]] Failure undone(Error error);
  void event(std::string name, std::string_view level = "info") const;

  plan::Plan plan_;  // a worktree changes where the workspace comes from
  const Parts& parts_;
  const SessionOptions& options_;
  Steps steps_;
  End end_;
  SessionResult result_;
  std::optional<Error> ended_by_;  // timeout or a signal, once the agent ran
  std::string preserve_reason_ = "the launch did not succeed";
  Clock::time_point began_ = Clock::now();

  std::map<std::string, std::string> env_values_;
  json::object public_config_;
  SecretBytes sidecar_config_;
  std::vector<plan::Secret> secrets_;
  std::vector<plan::GitKey> git_keys_;
  std::size_t git_keys_from_forge_ = 0;
  plan::CanarySet canaries_;
  std::vector<plan::Canary> watched_;
  PlantedBefore planted_before_;
  std::optional<state::Directory> directory_;
  state::Metadata metadata_;
  UniqueFd lifeline_read_;
  UniqueFd lifeline_write_;  // held until the end: when this process dies, the bottle and its sidecar end
  std::string ca_pem_;
  std::optional<json::object> bottle_;
  bool bottle_ended_ = false;
  SessionFile session_;
};

}  // namespace bot_bottle::launch
