// Runs the program that a backend drives. Each call has a deadline of its own (such tools can hang), ends with all of
// its process group, has exactly the environment and the descriptors that are given, and says what failed where.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "bot_bottle/plugin.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::driven {

struct PipeEnds {
  UniqueFd read;
  UniqueFd write;
};
/// Closed on exec. Throws.
PipeEnds make_pipe();

struct ToolRun {
  std::vector<std::string> arguments;            // behind the program
  std::string input;                             // its standard input; empty: none
  int input_fd = -1;                             // borrowed, instead of `input`
  std::function<void(std::string_view)> output;  // takes standard output instead of ToolResult::out; may throw to stop
  std::function<void(std::string_view)> error;   // the same of standard error
  std::chrono::milliseconds deadline{30'000};
  std::size_t max_output = std::size_t{4} << 20;  // per stream; more is dropped
};

struct ToolResult {
  int code = 0;  // exit code, or 128 + signal
  std::string out;
  std::string err;
  bool truncated = false;
};

class Tool {
 public:
  using Environment = std::map<std::string, std::string>;
  /// `program`: an absolute path. `env`: all that it sees of ours (`tool_environment`).
  Tool(std::string program, Environment env) : program_(std::move(program)), env_(std::move(env)) {}

  [[nodiscard]] const std::string& program() const { return program_; }
  [[nodiscard]] const Environment& environment() const { return env_; }
  [[nodiscard]] std::vector<std::string> argv(const std::vector<std::string>& arguments) const;

  /// To its end; any code is a result. What it leaves running (a machine) is not waited for, even where that keeps our
  /// pipes open. Throws: unavailable (cannot be run), timeout (SIGTERM to its process group, SIGKILL after 2 s),
  /// cancelled (the same).
  [[nodiscard]] ToolResult run(const ToolRun& run, int cancel_fd) const;
  /// The same, and a code other than 0 is thrown as failed_precondition: "cannot WHAT: TOOL VERB said: …".
  [[nodiscard]] ToolResult run_or_throw(const ToolRun& run, int cancel_fd, const std::string& what) const;

 private:
  std::string program_;
  Environment env_;
};

/// PATH, HOME, USER, LANG, TMPDIR (where it is a directory), XDG_* and `more` of ours: no proxy, no agent socket, no
/// secret of the operator's environment gets into a tool, whose machines may inherit it.
Tool::Environment tool_environment(const std::vector<std::string>& more = {});

/// What a tool said, for a message: standard error without its "Error: ", else standard output; at most 500 octets.
std::string complaint_of(const ToolResult& result);

/// Throws what such a code deserves.
[[noreturn]] void throw_tool_error(const std::string& what, const std::string& program, const ToolRun& run,
                                   const ToolResult& result);

}  // namespace bot_bottle::driven
