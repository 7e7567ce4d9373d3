// The event loop and the end of a turn: flush what was written, bury what has ended.
#pragma once

#include <uv.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace bot_bottle::net {

/// Something with output to send when the present event has been handled: many small writes become one system call.
class Flushable {
 public:
  virtual ~Flushable() = default;
  virtual void flush() = 0;
};

/// Something that may end while its own functions are on the stack.
class Retirable {
 public:
  virtual ~Retirable() = default;
};

class Loop {
 public:
  Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  /// All owners of handles must be gone; runs until their close callbacks came.
  ~Loop();

  [[nodiscard]] uv_loop_t* raw() { return &loop_; }
  void run() { uv_run(&loop_, UV_RUN_DEFAULT); }
  /// One round of events; for tests.
  void run_once() { uv_run(&loop_, UV_RUN_ONCE); }
  void stop() { uv_stop(&loop_); }
  /// Milliseconds, monotonic, as of the start of this round.
  [[nodiscard]] std::uint64_t now_ms() const { return uv_now(&loop_); }

  /// One buffer for all reads: libuv hands bytes over before it reads again, so an idle connection needs none.
  [[nodiscard]] std::span<char> read_buffer() { return read_buffer_; }

  /// Destroyed at the end of the turn.
  void retire(std::unique_ptr<Retirable> object);
  /// flush() is called once at the end of the turn. `object` must call forget_flush when it dies before.
  void flush_later(Flushable* object);
  void forget_flush(Flushable* object);

  /// Strings with capacity, for output in passing. Give them back empty of secrets.
  std::string take_buffer();
  void give_buffer(std::string&& buffer);

  /// Opened by every callback of libuv.
  class Turn {
   public:
    explicit Turn(Loop& loop) : loop_(loop) { ++loop_.depth_; }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() {
      if (loop_.depth_ == 1) loop_.end_turn();
      --loop_.depth_;
    }

   private:
    Loop& loop_;
  };

 private:
  void end_turn();

  uv_loop_t loop_{};
  std::vector<char> read_buffer_;
  std::vector<Flushable*> to_flush_;
  std::vector<std::unique_ptr<Retirable>> retired_;
  std::vector<std::string> buffers_;
  int depth_ = 0;
};

}  // namespace bot_bottle::net
