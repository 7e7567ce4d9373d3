// Other programs beside the screen: stop, commit, a look-up. They are read in the poll(2) loop and go on when the
// screen ends.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::screen {

class Jobs {
 public:
  /// `code` is the exit code or 128 + signal; `output` both streams, bounded; may be hostile.
  using Done = std::function<void(int code, const std::string& output)>;
  Result<void> start(const std::vector<std::string>& argv, Done done);
  void add_to(std::vector<pollfd>& polled) const;
  void work(const pollfd* polled, std::size_t count);

 private:
  struct Job {
    pid_t pid = 0;
    UniqueFd output;
    std::string text;
    Done done;
  };
  std::vector<Job> jobs_;
};

/// With the terminal as its own, to its end. Its exit code, or 128 + signal.
Result<int> run_in_front(const std::vector<std::string>& argv);

}  // namespace bot_bottle::screen
