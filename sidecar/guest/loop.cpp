#include "sidecar/guest/loop.hpp"

#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <cstdlib>

namespace bot_bottle::guest {

Loop::Loop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_) std::abort();
}

bool Loop::add(int fd, std::uint32_t events, Handler handler) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return false;
  handlers_[fd] = std::make_shared<Handler>(std::move(handler));
  return true;
}

void Loop::change(int fd, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void Loop::remove(int fd) {
  if (handlers_.erase(fd) > 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void Loop::after(std::chrono::milliseconds delay, std::function<void()> action) {
  timers_.emplace(Clock::now() + delay, std::move(action));
}

void Loop::run() {
  std::array<epoll_event, 64> events{};
  while (true) {
    int timeout = -1;
    if (!timers_.empty()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(timers_.begin()->first - Clock::now()).count();
      timeout = left < 0 ? 0 : static_cast<int>(left);
    }
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout);
    if (count < 0 && errno != EINTR) std::abort();
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      // A handler of this round may have removed a later one; the shared_ptr keeps the running one alive. A number that
      // was closed and opened again within the round gets at most one spurious wake-up: all descriptors do not block.
      const auto found = handlers_.find(event.data.fd);
      if (found == handlers_.end()) continue;
      const std::shared_ptr<Handler> handler = found->second;
      (*handler)(event.events);
    }
    while (!timers_.empty() && timers_.begin()->first <= Clock::now()) {
      const auto action = std::move(timers_.begin()->second);
      timers_.erase(timers_.begin());
      action();
    }
    std::vector<std::function<void()>> deferred;
    deferred.swap(deferred_);
    for (const auto& action : deferred) action();
  }
}

}  // namespace bot_bottle::guest
