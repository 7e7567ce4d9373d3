// A program in a bottle, through the engine's exec and `bottle-init --relay` in it: frames of
// sidecar/guest/protocol.hpp in the engine's stream. What comes back is hostile: the bottle's end may lie, flood or
// stall.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/unique_fd.hpp"
#include "plugins/backend-docker/engine.hpp"
#include "sidecar/guest/protocol.hpp"

namespace bot_bottle::backend_docker {

inline constexpr const char* guest_init = "/run/bottle/bin/bottle-init";

/// The raw stream of one exec: frames in, frames out of the engine's multiplexed output (docs.docker.com, "Attach to a
/// container", Stream format).
class GuestStream {
 public:
  /// Starts the relay as `user` ("1000:1000"). Throws: failed_precondition when the bottle does not run.
  GuestStream(Engine& engine, const std::string& container, const std::string& user);

  [[nodiscard]] int fd() const { return fd_.get(); }
  /// To be polled for reading beside fd(); -1 when there is nothing more to come. The engine leaves an exec's stream
  /// open when gVisor is killed under it (escape suite 7.1.2), so it is asked for the container's end, too.
  [[nodiscard]] int end_fd() const { return end_.get(); }
  /// end_fd() is readable. Once the container has ended, so does fd(), behind what has come.
  void on_end_fd();
  /// Queued, and written as far as it goes at once.
  void send(guest::FrameType type, std::string_view payload);
  [[nodiscard]] bool has_unsent() const { return !unsent_.empty(); }
  void flush();
  /// One read. False at the end of the stream.
  bool receive();
  /// The next whole frame, if there is one. False in `ok_` when what came is not the protocol.
  std::optional<guest::Frame> next();
  [[nodiscard]] bool is_broken() const { return broken_; }
  /// What the relay or the engine's runtime wrote on standard error; at most a few KiB.
  [[nodiscard]] const std::string& complaint() const { return complaint_; }

 private:
  void demultiplex(std::string_view bytes);

  UniqueFd fd_;
  UniqueFd end_;
  std::string end_answer_;
  std::string unsent_;
  std::string head_;  // of a piece, up to 8 bytes
  std::size_t piece_left_ = 0;
  int piece_stream_ = 0;
  guest::FrameReader frames_;
  bool broken_ = false;
  std::string complaint_;
};

struct GuestRun {
  std::vector<std::string> argv;
  std::vector<std::string> env;  // "NAME=value"
  std::string cwd;
  std::string session;
  bool detached = false;
  bool tty = false;   // only with detached
  int stdin_fd = -1;  // borrowed; -1: `input`, or nothing
  Source input;
  Sink output;  // instead of GuestResult::out
  std::chrono::milliseconds timeout{0};
  std::size_t max_output = std::size_t{1} << 20;
  int cancel_fd = -1;
};

struct GuestResult {
  int code = 0;
  std::string out;
  std::string err;
  bool truncated = false;
};

/// Runs it to its end (detached: until it has started). Throws sdk::Error: failed_precondition (no bottle there),
/// not_found and permission_denied (the program cannot be started), timeout, cancelled; in the last two the program
/// gets SIGHUP from pid 1.
GuestResult run_in_guest(Engine& engine, const std::string& container, const std::string& user, const GuestRun& run);

}  // namespace bot_bottle::backend_docker
