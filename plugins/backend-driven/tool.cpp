#include "plugins/backend-driven/tool.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include "core/base/error.hpp"
#include "core/base/paths.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::driven {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds grace{2'000};
/// A tool that has ended is seen this late at most where a machine that it started keeps our pipes open.
constexpr int look_ms = 20;
constexpr std::size_t max_complaint = 500;

std::string describe(const std::string& program, const std::vector<std::string>& arguments) {
  std::string text = std::filesystem::path(program).filename().string();
  // The verbs say which call it was; what follows may be long and is of no use to the operator.
  for (const std::string& argument : arguments) {
    if (argument.starts_with('-')) break;
    text += " " + argument;
  }
  return text;
}

/// How long this call may take. In a build with test hooks BB_TOOL_DEADLINES ("stop=500,create=500", in ms) makes calls
/// with such a word shorter: no test waits for minutes.
std::chrono::milliseconds deadline_of(const ToolRun& run) {
#ifdef BB_TEST_HOOKS
  const std::string shorter = environment("BB_TOOL_DEADLINES").value_or("");
  for (const std::string_view entry : split(shorter, ',')) {
    const std::size_t equals = entry.find('=');
    if (equals != std::string_view::npos &&
        std::ranges::find(run.arguments, entry.substr(0, equals)) != run.arguments.end())
      return std::chrono::milliseconds(std::stoi(std::string(entry.substr(equals + 1))));
  }
#endif
  return run.deadline;
}

/// The tool and its process group; whatever happens, neither outlives this object.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ <= 0) return;
    ::kill(-pid_, SIGKILL);
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  void signal(int number) const {
    if (pid_ <= 0) return;
    ::kill(-pid_, number);
    ::kill(pid_, number);
  }
  /// Whether it has ended by now.
  bool look() {
    if (pid_ <= 0) return true;
    int status = 0;
    const pid_t got = ::waitpid(pid_, &status, WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR)) return false;
    code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    pid_ = -1;
    return true;
  }
  [[nodiscard]] int code() const { return code_; }

 private:
  pid_t pid_;
  int code_ = 0;
};

class Collector {
 public:
  Collector(UniqueFd fd, std::string& into, const std::function<void(std::string_view)>& instead, std::size_t most,
            bool& truncated)
      : fd_(std::move(fd)), into_(into), instead_(instead), most_(most), truncated_(truncated) {
    ::fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
  }
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool is_open() const { return static_cast<bool>(fd_); }
  /// True while there may be more now.
  bool read_some() {
    std::array<char, 65536> bytes{};
    const ssize_t got = ::read(fd_.get(), bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) return true;
    if (got < 0 && errno == EAGAIN) return false;
    if (got <= 0) {
      fd_.reset();
      return false;
    }
    const std::string_view part(bytes.data(), static_cast<std::size_t>(got));
    if (instead_) {
      instead_(part);
      return true;
    }
    const std::size_t room = most_ - std::min(most_, into_.size());
    if (part.size() > room) truncated_ = true;
    into_.append(part.substr(0, room));
    return true;
  }
  void drain() {
    while (fd_ && read_some()) {
    }
  }

 private:
  UniqueFd fd_;
  std::string& into_;
  const std::function<void(std::string_view)>& instead_;
  std::size_t most_;
  bool& truncated_;
};

}  // namespace

PipeEnds make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) throw Failure(error_from_errno("cannot make a pipe", errno));
  for (const int fd : ends) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

std::vector<std::string> Tool::argv(const std::vector<std::string>& arguments) const {
  std::vector<std::string> all{program_};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return all;
}

ToolResult Tool::run(const ToolRun& run, int cancel_fd) const {
  const std::string name = describe(program_, run.arguments);
  PipeEnds in;
  PipeEnds out = make_pipe();
  PipeEnds err = make_pipe();
  ProcessRequest request;
  request.argv = argv(run.arguments);
  request.env = env_;
  request.cwd = "/";  // a tool must not find anything because of where the operator stands
  request.session = StartSession::yes;
  request.fds = {{out.write.get(), 1}, {err.write.get(), 2}};
  if (run.input_fd >= 0) {
    request.fds.push_back({run.input_fd, 0});
  } else if (!run.input.empty()) {
    in = make_pipe();
    request.fds.push_back({in.read.get(), 0});
    ::fcntl(in.write.get(), F_SETFL, O_NONBLOCK);
  }
  auto started = spawn_process(request);
  if (!started)
    throw sdk::Error(sdk::Status::unavailable, "cannot run " + program_ + ": " + started.error().message,
                     "bot-bottle doctor");
  Child child(*started);
  in.read.reset();
  out.write.reset();
  err.write.reset();

  ToolResult result;
  Collector output(std::move(out.read), result.out, run.output, run.max_output, result.truncated);
  Collector error(std::move(err.read), result.err, run.error, run.max_output, result.truncated);
  std::string_view to_write = run.input;
  const std::chrono::milliseconds allowed = deadline_of(run);
  auto deadline = Clock::now() + allowed;
  std::optional<sdk::Error> stopped;
  while (!child.look()) {
    std::array<pollfd, 4> polled{{{.fd = output.fd(), .events = POLLIN, .revents = 0},
                                  {.fd = error.fd(), .events = POLLIN, .revents = 0},
                                  {.fd = in.write.get(), .events = POLLOUT, .revents = 0},
                                  {.fd = stopped ? -1 : cancel_fd, .events = POLLIN, .revents = 0}}};
    const int ready = ::poll(polled.data(), polled.size(), look_ms);
    if (ready < 0 && errno != EINTR) throw Failure(error_from_errno("cannot poll", errno));
    const bool cancelled = ready > 0 && polled[3].revents != 0;
    if (cancelled || Clock::now() >= deadline) {
      if (stopped) break;  // it had its grace: ~Child kills the group
      if (cancelled)
        stopped.emplace(sdk::Status::cancelled, "cancelled");
      else
        stopped.emplace(sdk::Status::timeout, name + " did not end in " + std::to_string(allowed.count() / 1000) + " s",
                        "look what it waits for: run it by hand");
      child.signal(SIGTERM);
      deadline = Clock::now() + grace;
    }
    if (ready <= 0) continue;
    if (polled[0].revents != 0) output.read_some();
    if (polled[1].revents != 0) error.read_some();
    if (polled[2].revents != 0) {
      const ssize_t written = write_to_child(in.write.get(), to_write);
      if (written > 0) to_write.remove_prefix(static_cast<std::size_t>(written));
      if ((written < 0 && errno != EAGAIN && errno != EINTR) || to_write.empty()) in.write.reset();
    }
  }
  if (stopped) throw sdk::Error(*stopped);
  output.drain();
  error.drain();
  result.code = child.code();
  return result;
}

ToolResult Tool::run_or_throw(const ToolRun& run, int cancel_fd, const std::string& what) const {
  ToolResult result = this->run(run, cancel_fd);
  if (result.code != 0) throw_tool_error(what, program_, run, result);
  return result;
}

Tool::Environment tool_environment(const std::vector<std::string>& more) {
  Tool::Environment env;
  const auto take = [&](const std::string& name) {
    if (auto value = environment(name)) env[name] = *value;
  };
  for (const char* name : {"PATH", "HOME", "USER", "LOGNAME", "LANG", "XDG_DATA_HOME", "XDG_CACHE_HOME",
                           "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"})
    take(name);
  for (const std::string& name : more) take(name);
  std::error_code code;
  // A TMPDIR that is gone breaks tools in strange ways.
  if (const auto value = environment("TMPDIR"); value && std::filesystem::is_directory(*value, code))
    env["TMPDIR"] = *value;
  if (!env.contains("PATH")) env["PATH"] = "/usr/local/bin:/usr/bin:/bin";
  return env;
}

std::string complaint_of(const ToolResult& result) {
  std::string_view said = trim(result.err);
  if (said.empty()) said = trim(result.out);
  // A tool's progress comes before what went wrong.
  if (const std::size_t at = said.rfind("Error: "); at != std::string_view::npos && (at == 0 || said[at - 1] == '\n'))
    said.remove_prefix(at + std::string_view("Error: ").size());
  return std::string(said.substr(0, max_complaint));
}

void throw_tool_error(const std::string& what, const std::string& program, const ToolRun& run,
                      const ToolResult& result) {
  const std::string said = complaint_of(result);
  throw sdk::Error(sdk::Status::failed_precondition, "cannot " + what + ": " + describe(program, run.arguments) +
                                                         " ended with code " + std::to_string(result.code) +
                                                         (said.empty() ? "" : ": " + said));
}

}  // namespace bot_bottle::driven
