#include "sidecar/net/timer.hpp"

#include <utility>

namespace bot_bottle::net {

struct Timer::Handle {
  uv_timer_t timer{};
  Loop* loop = nullptr;
  std::function<void()> on_due;
  std::uint64_t due = 0;    // 0: not set
  std::uint64_t armed = 0;  // when libuv will wake us; 0: not armed
};

namespace {

void wake(uv_timer_t* raw) {
  auto* handle = static_cast<Timer::Handle*>(raw->data);
  handle->armed = 0;
  if (handle->due == 0) return;
  const std::uint64_t now = uv_now(handle->loop->raw());
  if (now < handle->due) {
    handle->armed = handle->due;
    uv_timer_start(raw, wake, handle->due - now, 0);
    return;
  }
  handle->due = 0;
  const Loop::Turn turn(*handle->loop);
  handle->on_due();
}

}  // namespace

Timer::Timer(Loop& loop, std::function<void()> on_due) : handle_(new Handle) {  // freed by the close callback
  handle_->loop = &loop;
  handle_->on_due = std::move(on_due);
  uv_timer_init(loop.raw(), &handle_->timer);
  handle_->timer.data = handle_;
}

Timer::~Timer() {
  handle_->due = 0;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_->timer),
           [](uv_handle_t* raw) { delete static_cast<Handle*>(raw->data); });
}

void Timer::set(std::chrono::milliseconds delay) {
  const auto wait = static_cast<std::uint64_t>(delay.count());
  handle_->due = handle_->loop->now_ms() + (wait == 0 ? 1 : wait);
  if (handle_->armed != 0 && handle_->armed <= handle_->due) return;
  handle_->armed = handle_->due;
  uv_timer_start(&handle_->timer, wake, wait, 0);
}

void Timer::clear() {
  handle_->due = 0;
}

}  // namespace bot_bottle::net
