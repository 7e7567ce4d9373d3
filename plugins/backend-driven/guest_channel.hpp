// A program in a bottle where only bytes can travel: `bottle-init --relay` in it, and the frames of
// sidecar/guest/protocol.hpp over whatever a backend has for its input and output. What comes back is hostile: the
// bottle's end may lie, flood or stall.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/guest/protocol.hpp"

namespace bot_bottle::driven {

/// Where bottle-init is in every bottle.
inline constexpr const char* guest_init = "/run/bottle/bin/bottle-init";
/// How long a relay may take to say that a program has started, or why not: an exec of a tool can hang for ever.
inline constexpr std::chrono::milliseconds start_patience{60'000};

/// One relay. Frames are queued and taken; a backend says how octets get there and back.
class GuestChannel {
 public:
  GuestChannel() = default;
  GuestChannel(const GuestChannel&) = delete;
  GuestChannel& operator=(const GuestChannel&) = delete;
  virtual ~GuestChannel() = default;

  /// To be polled: for reading always, for writing while there is something unsent. May be one descriptor.
  [[nodiscard]] virtual int read_fd() const = 0;
  [[nodiscard]] virtual int write_fd() const = 0;
  /// Beside them, for reading: what tells of an end that read_fd() does not show, or what a tool complains of. -1:
  /// none.
  [[nodiscard]] virtual int end_fd() const { return -1; }
  virtual void on_end_fd() {}
  /// One read. False at the end of the stream.
  virtual bool receive() = 0;

  /// Queued, and written as far as it goes at once.
  void send(guest::FrameType type, std::string_view payload);
  [[nodiscard]] bool has_unsent() const { return !unsent_.empty(); }
  void flush();
  /// The next whole frame, if there is one. What is not the protocol makes the channel broken.
  std::optional<guest::Frame> next();
  [[nodiscard]] bool is_broken() const { return broken_; }
  /// What the relay or the tool said on standard error; at most a few KiB.
  [[nodiscard]] const std::string& complaint() const { return complaint_; }

 protected:
  /// write(2)'s answer, with errno; never SIGPIPE.
  virtual ssize_t write_some(std::string_view bytes) = 0;
  void take(std::string_view bytes) { frames_.append(bytes); }
  void note_complaint(std::string_view bytes);
  void set_broken() { broken_ = true; }

 private:
  std::string unsent_;
  guest::FrameReader frames_;
  bool broken_ = false;
  std::string complaint_;
};

using Source = std::function<std::optional<std::string>()>;  // the next part; nothing at the end
using Sink = std::function<void(std::string_view)>;          // may throw to stop

struct GuestRun {
  std::vector<std::string> argv;
  std::vector<std::string> env;  // "NAME=value": the whole environment
  std::string cwd;
  std::string session;
  bool detached = false;
  bool tty = false;   // only with detached
  int stdin_fd = -1;  // borrowed; -1: `input`, or nothing
  Source input;
  Sink output;  // instead of GuestResult::out
  std::chrono::milliseconds start_timeout = start_patience;
  std::chrono::milliseconds timeout{0};  // 0: none
  std::size_t max_output = std::size_t{1} << 20;
  int cancel_fd = -1;
};

struct GuestResult {
  int code = 0;  // of the program, or 128 + signal: never the tool's
  std::string out;
  std::string err;
  bool truncated = false;
};

/// Runs it to its end (detached: until it has started). Throws sdk::Error: failed_precondition (no bottle there, with
/// what the tool said), not_found and permission_denied (the program cannot be started), timeout, cancelled; in the
/// last two the program gets SIGHUP from pid 1 when the channel goes.
GuestResult run_in_guest(GuestChannel& channel, const GuestRun& run);

}  // namespace bot_bottle::driven
