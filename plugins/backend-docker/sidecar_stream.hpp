// The operator's hold on a sidecar container: its standard input. First the configuration goes through it, then it
// stays open: when it closes (this process ended, however), the sidecar ends and the agent with it.
#pragma once

#include <string>
#include <thread>

#include "core/base/unique_fd.hpp"

namespace bot_bottle::backend_docker {

class SidecarStream {
 public:
  /// Takes the engine's stream; copies what `config_fd` (duplicated) holds, once it has ended, as [u32 length][bytes],
  /// from a thread of its own: the host writes it after start_sidecar has returned.
  SidecarStream(UniqueFd stream, int config_fd, std::string state_dir);
  SidecarStream(const SidecarStream&) = delete;
  SidecarStream& operator=(const SidecarStream&) = delete;
  ~SidecarStream();
  [[nodiscard]] const std::string& state_dir() const { return state_dir_; }

 private:
  void run();

  UniqueFd stream_;
  UniqueFd config_;
  UniqueFd stop_read_;
  UniqueFd stop_write_;
  std::string state_dir_;
  std::thread thread_;
};

}  // namespace bot_bottle::backend_docker
