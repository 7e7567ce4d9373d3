#include "core/launch/call_limit.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include "core/base/error.hpp"

namespace bot_bottle::launch {
namespace {

void open_pipe(UniqueFd& read, UniqueFd& write) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw Failure(error_from_errno("cannot make a pipe", errno));
  read.reset(ends[0]);
  write.reset(ends[1]);
}

}  // namespace

CallLimit::CallLimit(std::chrono::milliseconds limit, Cancelling before) : before_(std::move(before)) {
  if (!before_.set_cancel_fd) return;
  open_pipe(cancel_read_, cancel_write_);
  open_pipe(stop_read_, stop_write_);
  timer_ = std::thread([this, limit] { wait(limit); });
  before_.set_cancel_fd(cancel_read_.get());
}

CallLimit::~CallLimit() {
  if (!timer_.joinable()) return;
  stop_write_.reset();
  timer_.join();
  before_.set_cancel_fd(before_.cancel_fd);
}

/// A thread and not timerfd(2): that is Linux's alone. No signal is this thread's to handle.
void CallLimit::wait(std::chrono::milliseconds limit) const {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  std::array<pollfd, 2> polled{{{.fd = stop_read_.get(), .events = POLLIN, .revents = 0},
                                {.fd = before_.cancel_fd, .events = POLLIN, .revents = 0}}};
  const int ready = ::poll(polled.data(), polled.size(), static_cast<int>(limit.count()));
  if (polled[0].revents != 0) return;
  has_passed_ = ready == 0;
  [[maybe_unused]] const ssize_t written = ::write(cancel_write_.get(), "x", 1);
}

}  // namespace bot_bottle::launch
