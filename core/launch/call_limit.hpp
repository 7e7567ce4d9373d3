// How long calls of plugins may take all together, where what they wait for is the agent's to give: by the descriptor
// that cancels them. Called by whatever ends bottles.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "core/base/unique_fd.hpp"

namespace bot_bottle::launch {

/// What cancels the calls of a plugin. Empty `set_cancel_fd`: nothing can.
struct Cancelling {
  std::function<void(int)> set_cancel_fd;
  int cancel_fd = -1;  // borrowed; what does so now
};

/// Cancels the calls that are made while it lives once `limit` has passed, and when `before.cancel_fd` is readable;
/// puts that one back when it goes. Throws Failure when there are no descriptors left.
class CallLimit {
 public:
  CallLimit(std::chrono::milliseconds limit, Cancelling before);
  ~CallLimit();
  CallLimit(const CallLimit&) = delete;
  CallLimit& operator=(const CallLimit&) = delete;
  [[nodiscard]] bool has_passed() const { return has_passed_; }

 private:
  void wait(std::chrono::milliseconds limit) const;

  const Cancelling before_;
  UniqueFd cancel_read_;
  UniqueFd cancel_write_;
  UniqueFd stop_read_;
  UniqueFd stop_write_;  // its end ends the thread
  mutable std::atomic<bool> has_passed_ = false;
  std::thread timer_;
};

}  // namespace bot_bottle::launch
