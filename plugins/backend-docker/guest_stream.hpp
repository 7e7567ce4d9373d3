// A program in a bottle, through the engine's exec and `bottle-init --relay` in it: frames of
// sidecar/guest/protocol.hpp in the engine's stream. What comes back is hostile: the bottle's end may lie, flood or
// stall.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/base/unique_fd.hpp"
#include "plugins/backend-docker/engine.hpp"
#include "plugins/backend-driven/guest_channel.hpp"

namespace bot_bottle::backend_docker {

using driven::guest_init;
using driven::GuestResult;
using driven::GuestRun;

/// The raw stream of one exec: frames in, frames out of the engine's multiplexed output (docs.docker.com, "Attach to a
/// container", Stream format).
class GuestStream final : public driven::GuestChannel {
 public:
  /// Starts the relay as `user` ("1000:1000"). Throws: failed_precondition when the bottle does not run.
  GuestStream(Engine& engine, const std::string& container, const std::string& user);

  [[nodiscard]] int read_fd() const override { return fd_.get(); }
  [[nodiscard]] int write_fd() const override { return fd_.get(); }
  /// The engine leaves an exec's stream open when gVisor is killed under it (escape suite 7.1.2), so it is asked for
  /// the container's end, too.
  [[nodiscard]] int end_fd() const override { return end_.get(); }
  /// Once the container has ended, so does read_fd(), behind what has come.
  void on_end_fd() override;
  bool receive() override;

 protected:
  ssize_t write_some(std::string_view bytes) override;

 private:
  void demultiplex(std::string_view bytes);

  UniqueFd fd_;
  UniqueFd end_;
  std::string end_answer_;
  std::string head_;  // of a piece, up to 8 bytes
  std::size_t piece_left_ = 0;
  int piece_stream_ = 0;
};

/// driven::run_in_guest through an engine's exec as `user`.
GuestResult run_in_guest(Engine& engine, const std::string& container, const std::string& user, const GuestRun& run);

}  // namespace bot_bottle::backend_docker
