// Runs a program without a shell. Every child of the CLI and of the plugins' process service starts here.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle {

/// A descriptor the child shall have under a given number. All others are closed (close_range).
struct PassedFd {
  int source = -1;  // borrowed
  int target = -1;
};

enum class StartSession : std::uint8_t { no, yes };

struct ProcessRequest {
  std::vector<std::string> argv;                          // argv[0] is a path or is looked up on PATH
  std::optional<std::map<std::string, std::string>> env;  // the whole environment; nothing = inherit ours
  std::string cwd;                                        // empty = ours
  std::string stdin_text;                                 // run_process only
  std::vector<PassedFd> fds;                              // 0..2 not named here are /dev/null (spawn) or pipes (run)
  std::chrono::milliseconds timeout{30'000};              // run_process only; SIGTERM, then SIGKILL after 2 s
  int cancel_fd = -1;                                     // run_process only: readable = stop now
  std::size_t max_output = std::size_t{4} << 20;          // per stream; more is dropped and `truncated` set
  StartSession session = StartSession::no;                // setsid(2) in the child
};

struct ProcessResult {
  int code = 0;  // exit code, or 128 + signal
  std::string out;
  std::string err;
  bool truncated = false;
};

/// Runs to the end. Errors: not_found (no such program), timeout, cancelled.
Result<ProcessResult> run_process(const ProcessRequest& request);

/// Starts and returns the pid; the caller reaps it.
Result<pid_t> spawn_process(const ProcessRequest& request);

/// write(2) to a program that may have closed its standard input: EPIPE is an answer, where SIGPIPE would end us.
ssize_t write_to_child(int fd, std::string_view text);

/// Waits for `pid`: exit code, or 128 + signal.
Result<int> wait_for_exit(pid_t pid);

}  // namespace bot_bottle
