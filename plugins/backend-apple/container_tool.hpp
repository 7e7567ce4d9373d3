// The calls of `container` that a bottle needs, each with its own deadline: the tool can hang for ever in most of them.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bot_bottle/plugin.hpp"
#include "plugins/backend-apple/containers.hpp"
#include "plugins/backend-driven/guest_channel.hpp"
#include "plugins/backend-driven/tool.hpp"

namespace bot_bottle::backend_apple {

/// Absolute path of the program: $BOT_BOTTLE_CONTAINER, else (macOS) by PATH and where its installers put it. Elsewhere
/// than on macOS there is none: nothing that happens to be called `container` is run.
std::optional<std::string> find_container_program();

class ContainerTool {
 public:
  /// Throws unavailable.
  ContainerTool();
  explicit ContainerTool(const driven::Tool& tool) : tool_(tool) {}

  [[nodiscard]] const driven::Tool& tool() const { return tool_; }
  void set_cancel_fd(int fd) { cancel_fd_ = fd; }

  /// Asked once. Throws unavailable for what is not Apple's.
  const Version& version();
  /// Of macOS, as `sw_vers` says it: 26 for "26.1"; 0 where nobody says it.
  [[nodiscard]] int macos_major() const;
  /// Throws unavailable, with the command that starts it.
  void check_service() const;

  /// Ours only.
  [[nodiscard]] std::vector<Owned> list() const;
  [[nodiscard]] std::optional<Owned> find(const std::string& state_dir) const;

  /// `arguments` behind `create`.
  void create(const std::vector<std::string>& arguments) const;
  void start(const std::string& id) const;
  /// stop → kill, each in its time; keeps the disk. What has its label is asked for again before each step. Throws when
  /// it still runs, by the service's word (check_ended looks for itself).
  void end(const std::string& state_dir) const;
  /// Throws failed_precondition where the machine's process lives. After a crash the service shows a machine as stopped
  /// that runs, and `stop` has no effect on it (issue 2286): nothing may be started on its disk.
  void check_ended(const std::string& id) const;
  /// Ends and deletes it, and looks whether it is gone. `delete -f` is the only one that ends a container which the
  /// service shows as stopped after a crash although it runs (issue 2286), so it is always the last word.
  void remove(const std::string& state_dir) const;

  [[nodiscard]] ImageOwner image_owner(const std::string& reference) const;
  /// Throws already_exists for an image of that name that is not ours.
  [[nodiscard]] bool has_own_image(const std::string& reference) const;
  /// `directory`: a real path. `progress` gets lines of the build's log. Throws failed_precondition with its last
  /// lines.
  void build(const std::string& reference, const std::string& dockerfile, const std::string& directory,
             const std::vector<std::string>& labels, const std::function<void(std::string_view)>& progress) const;
  void remove_image(const std::string& reference) const;
  void save_image(const std::string& reference, const std::string& path) const;

  /// A program as root beside pid 1, before anything of the agent's runs: `input` is its standard input.
  void run_as_root(const std::string& id, const std::vector<std::string>& argv, std::string input,
                   const std::string& what) const;
  /// What its first process said, for a message; empty when that cannot be had.
  [[nodiscard]] std::string last_words(const std::string& id) const;
  /// The arguments of a relay in a running container, as `user`.
  static std::vector<std::string> relay_arguments(const std::string& id, const std::string& user);

 private:
  driven::ToolResult run(std::vector<std::string> arguments, std::chrono::milliseconds deadline) const;
  driven::ToolResult run_or_throw(std::vector<std::string> arguments, std::chrono::milliseconds deadline,
                                  const std::string& what) const;
  [[nodiscard]] std::optional<pid_t> machine_of(const std::string& id) const;

  driven::Tool tool_;
  std::optional<Version> version_;
  int cancel_fd_ = -1;
};

/// "uid:gid" of the agent.
std::string user_of(const json::object& plan_data);

/// A relay in a running container, as `user`.
std::unique_ptr<driven::GuestChannel> open_relay(const ContainerTool& tool, const std::string& container,
                                                 const std::string& user);

}  // namespace bot_bottle::backend_apple
