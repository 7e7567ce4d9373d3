// Work that blocks (git to its end, a scan) on a thread of its own; the loop is told when it is over.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "sidecar/net/loop.hpp"

namespace bot_bottle::git_gate {

/// Owned by the loop's thread. Destroying it cancels the work and waits for it: git gets two seconds (run_process).
class Job {
 public:
  /// The worker's side.
  class Worker {
   public:
    virtual ~Worker() = default;
    /// Readable once the work should end; for run_process and poll(2).
    [[nodiscard]] virtual int cancel_fd() const = 0;
    [[nodiscard]] virtual bool is_cancelled() const = 0;
    /// A line for the client, handed over to `on_message` on the loop.
    virtual void tell(std::string line) = 0;
  };
  using Work = std::function<void(Worker&)>;

  /// `work` runs on the thread and shares nothing but what it was given; `on_message` and `on_done` run on the loop, in
  /// a turn, on_done last and exactly once. on_done may destroy nothing but retire the job's owner.
  Job(net::Loop& loop, Work work, std::function<void(std::string)> on_message, std::function<void()> on_done);
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  ~Job();

  void cancel();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace bot_bottle::git_gate
