// SIGINT, SIGTERM and SIGHUP while a bottle is made, used and undone. One scope at a time per process; called by
// launch.
#pragma once

#include <array>
#include <csignal>
#include <cstdint>
#include <string>

#include "core/base/unique_fd.hpp"

namespace bot_bottle::launch {

/// Installs the handlers (and ignores SIGPIPE) until it goes.
class Signals {
 public:
  enum class Phase : std::uint8_t {
    launching,  // a signal cancels the step at work
    attached,   // SIGINT belongs to the agent; SIGTERM and SIGHUP end the session
    undoing,    // nothing interrupts the way back
  };
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  void set_phase(Phase phase);
  /// Readable from the first signal that ends something; for poll(2) and for plugins' cancel_fd.
  [[nodiscard]] int cancel_fd() const { return read_.get(); }
  /// The signal that ended something, or 0.
  [[nodiscard]] int received() const;
  /// "ended by Ctrl-C"; only once one was received.
  [[nodiscard]] std::string ending() const;
  /// Throws ErrorKind::cancelled once a signal came.
  void throw_if_cancelled() const;

 private:
  UniqueFd read_;
  UniqueFd write_;
  std::array<struct sigaction, 4> before_{};
};

}  // namespace bot_bottle::launch
