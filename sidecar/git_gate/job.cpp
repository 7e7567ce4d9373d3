#include "sidecar/git_gate/job.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/unique_fd.hpp"

namespace bot_bottle::git_gate {

struct Job::State final : Job::Worker {
  State(net::Loop& the_loop, Work the_work, std::function<void(std::string)> message, std::function<void()> done)
      : loop(the_loop), work(std::move(the_work)), on_message(std::move(message)), on_done(std::move(done)) {
    cancel_event.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!cancel_event) std::abort();  // out of descriptors: the sidecar dies closed
  }

  [[nodiscard]] int cancel_fd() const override { return cancel_event.get(); }
  [[nodiscard]] bool is_cancelled() const override { return cancelled.load(); }
  void tell(std::string line) override {
    const std::lock_guard lock(mutex);
    messages.push_back(std::move(line));
    uv_async_send(async);
  }

  void on_wake() {
    std::vector<std::string> taken;
    bool over = false;
    {
      const std::lock_guard lock(mutex);
      taken.swap(messages);
      over = finished;
    }
    for (std::string& line : taken)
      if (on_message) on_message(std::move(line));
    if (over && !std::exchange(told, true) && on_done) on_done();
  }

  net::Loop& loop;
  Work work;
  std::function<void(std::string)> on_message;
  std::function<void()> on_done;
  UniqueFd cancel_event;
  std::atomic<bool> cancelled = false;
  std::mutex mutex;
  std::vector<std::string> messages;  // guarded by mutex
  bool finished = false;              // guarded by mutex
  bool told = false;                  // the loop's
  std::thread thread;
  uv_async_t* async = nullptr;  // freed by the close callback
};

namespace {
struct Wake {
  uv_async_t async{};
  std::function<void()> run;
  net::Loop* loop = nullptr;
};
}  // namespace

Job::Job(net::Loop& loop, Work work, std::function<void(std::string)> on_message, std::function<void()> on_done)
    : state_(std::make_shared<State>(loop, std::move(work), std::move(on_message), std::move(on_done))) {
  Wake* wake = new Wake;  // freed by the close callback
  wake->loop = &loop;
  wake->async.data = wake;
  State* state = state_.get();
  // The job may end itself in its callback: the state stays for the length of it.
  wake->run = [weak = std::weak_ptr<State>(state_)] {
    if (const auto held = weak.lock()) held->on_wake();
  };
  uv_async_init(loop.raw(), &wake->async, [](uv_async_t* raw) {
    Wake* one = static_cast<Wake*>(raw->data);
    const net::Loop::Turn turn(*one->loop);
    one->run();
  });
  state->async = &wake->async;
  state->thread = std::thread([state] {
    state->work(*state);
    // Under the lock: once the owner sees `finished` it may close the handle that is signalled here.
    const std::lock_guard lock(state->mutex);
    state->finished = true;
    uv_async_send(state->async);
  });
}

void Job::cancel() {
  state_->cancelled = true;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(state_->cancel_event.get(), &one, sizeof one);
}

Job::~Job() {
  cancel();
  state_->thread.join();
  state_->on_message = nullptr;
  state_->on_done = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(state_->async),
           [](uv_handle_t* raw) { delete static_cast<Wake*>(raw->data); });
}

}  // namespace bot_bottle::git_gate
