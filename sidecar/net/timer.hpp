// A deadline that is cheap to move: a connection moves its own with every request.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

#include "sidecar/net/loop.hpp"

namespace bot_bottle::net {

class Timer {
 public:
  Timer(Loop& loop, std::function<void()> on_due);
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer();

  /// Due once, `delay` from now; replaces what was set. Moving it later costs no call to libuv.
  void set(std::chrono::milliseconds delay);
  void clear();

  struct Handle;

 private:
  Handle* handle_;
};

}  // namespace bot_bottle::net
