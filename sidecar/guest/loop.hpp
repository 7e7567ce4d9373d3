// A small epoll loop for bottle-init: handlers by descriptor, one-shot timers, deferred deletion.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "core/base/unique_fd.hpp"

namespace bot_bottle::guest {

class Loop {
 public:
  using Handler = std::function<void(std::uint32_t events)>;
  using Clock = std::chrono::steady_clock;

  /// Aborts where the kernel gives no epoll: nothing can follow.
  Loop();
  /// Calls `handler` on `events` (level-triggered) until `remove`. The descriptor stays the caller's.
  bool add(int fd, std::uint32_t events, Handler handler);
  void change(int fd, std::uint32_t events);
  void remove(int fd);
  void after(std::chrono::milliseconds delay, std::function<void()> action);
  /// Runs once the handlers of this round are done: for deleting what is on the stack now.
  void later(std::function<void()> action) { deferred_.push_back(std::move(action)); }
  [[noreturn]] void run();

 private:
  UniqueFd epoll_;
  std::map<int, std::shared_ptr<Handler>> handlers_;
  std::multimap<Clock::time_point, std::function<void()>> timers_;
  std::vector<std::function<void()>> deferred_;
};

}  // namespace bot_bottle::guest
