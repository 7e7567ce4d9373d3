#include "core/base/process.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "core/base/paths.hpp"

namespace bot_bottle {
namespace {

using Clock = std::chrono::steady_clock;

/// Everything the child needs, made before fork: after it only async-signal-safe calls.
struct Prepared {
  std::string program;
  std::vector<char*> argv;
  std::vector<std::string> env_text;
  std::vector<char*> env;
  std::vector<PassedFd> fds;
};

Result<Prepared> prepare(const ProcessRequest& request) {
  if (request.argv.empty()) return fail(ErrorKind::invalid_argument, "no program to run");
  Prepared prepared;
  const auto path = find_program(request.argv[0], environment("PATH").value_or("/usr/bin:/bin"));
  if (!path) return fail(ErrorKind::not_found, "cannot find the program '" + request.argv[0] + "'");
  prepared.program = path->string();
  for (const std::string& argument : request.argv) prepared.argv.push_back(const_cast<char*>(argument.c_str()));
  prepared.argv.push_back(nullptr);
  if (request.env) {
    for (const auto& [name, value] : *request.env) prepared.env_text.push_back(name + "=" + value);
    for (std::string& line : prepared.env_text) prepared.env.push_back(line.data());
    prepared.env.push_back(nullptr);
  }
  prepared.fds = request.fds;
  return prepared;
}

[[noreturn]] void run_child(const Prepared& prepared, const ProcessRequest& request, int error_fd) {
  // First everything up above all targets, so that no dup2 overwrites a source that is still needed.
  constexpr int above = 64;
  std::array<PassedFd, 32> lifted{};
  std::size_t count = 0;
  bool has_standard[3] = {false, false, false};
  for (const PassedFd& passed : prepared.fds) {
    if (count == lifted.size()) ::_exit(126);
    const int up = ::fcntl(passed.source, F_DUPFD, above);
    if (up < 0) ::_exit(126);
    lifted[count++] = {up, passed.target};
    if (passed.target < 3) has_standard[passed.target] = true;
  }
  const int error_up = ::fcntl(error_fd, F_DUPFD_CLOEXEC, above);
  const int null_fd = ::open("/dev/null", O_RDWR);
  for (int target = 0; target < 3; ++target)
    if (!has_standard[target]) ::dup2(null_fd, target);
  for (std::size_t i = 0; i < count; ++i) ::dup2(lifted[i].source, lifted[i].target);
  // Whatever else is open is ours, not the child's (attack C8: inherited descriptors).
  int top = 2;
  for (std::size_t i = 0; i < count; ++i) top = std::max(top, lifted[i].target);
  for (int fd = 3; fd <= top; ++fd) {
    bool wanted = false;
    for (std::size_t i = 0; i < count; ++i) wanted = wanted || lifted[i].target == fd;
    if (!wanted && fd != error_up) ::close(fd);
  }
  ::close_range(static_cast<unsigned>(top) + 1, ~0U, CLOSE_RANGE_CLOEXEC);

  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT, SIGCHLD, SIGWINCH, SIGTSTP})
    ::signal(number, SIG_DFL);
  if (request.session == StartSession::yes) ::setsid();
  int code = 0;
  if (!request.cwd.empty() && ::chdir(request.cwd.c_str()) != 0) code = errno;
  if (code == 0) {
    if (prepared.env.empty())
      ::execv(prepared.program.c_str(), prepared.argv.data());
    else
      ::execve(prepared.program.c_str(), prepared.argv.data(), prepared.env.data());
    code = errno;
  }
  [[maybe_unused]] const ssize_t told = ::write(error_up, &code, sizeof code);
  ::_exit(127);
}

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Result<Pipe> create_pipe() {
  int fds[2] = {-1, -1};
  if (::pipe2(fds, O_CLOEXEC) != 0) return fail(error_from_errno("cannot make a pipe", errno));
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

/// Kills the child unless `release`d: no path out of run_process leaves one behind.
class ChildGuard {
 public:
  explicit ChildGuard(pid_t pid) : pid_(pid) {}
  ChildGuard(const ChildGuard&) = delete;
  ChildGuard& operator=(const ChildGuard&) = delete;
  ~ChildGuard() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  void release() { pid_ = -1; }

 private:
  pid_t pid_;
};

void read_some(UniqueFd& fd, std::string& into, std::size_t max_output, bool& truncated) {
  std::array<char, 65536> buffer{};
  const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got <= 0) {
    fd.reset();
    return;
  }
  const std::size_t room = max_output - std::min(max_output, into.size());
  if (static_cast<std::size_t>(got) > room) truncated = true;
  into.append(buffer.data(), std::min(room, static_cast<std::size_t>(got)));
}

}  // namespace

/// SIGPIPE is held back for this thread and taken off again, because a library may not change the process's
/// disposition. Guarded by process_test: a_program_that_does_not_read_its_input_is_no_harm.
ssize_t write_to_child(int fd, std::string_view text) {
  sigset_t pipe_signal;
  sigset_t before;
  sigset_t pending;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  ::sigpending(&pending);
  ::pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  const ssize_t written = ::write(fd, text.data(), text.size());
  const int write_errno = errno;
  if (written < 0 && write_errno == EPIPE && ::sigismember(&pending, SIGPIPE) == 0) {
    // Pending for this thread now, unless somebody ignores it.
    if (::sigpending(&pending) == 0 && ::sigismember(&pending, SIGPIPE) == 1) {
      int number = 0;
      ::sigwait(&pipe_signal, &number);
    }
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = write_errno;
  return written;
}

Result<pid_t> spawn_process(const ProcessRequest& request) {
  BB_TRY(const Prepared prepared, prepare(request));
  BB_TRY(Pipe failure, create_pipe());
  // Signals stay blocked over fork, so that a handler of ours never runs in the child.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  const int fork_errno = errno;
  if (pid == 0) run_child(prepared, request, failure.write.get());
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return fail(error_from_errno("cannot start " + prepared.program, fork_errno));
  failure.write.reset();
  int code = 0;
  ssize_t got = 0;
  do got = ::read(failure.read.get(), &code, sizeof code);
  while (got < 0 && errno == EINTR);
  if (got == sizeof code) {
    ::waitpid(pid, nullptr, 0);
    return fail(error_from_errno("cannot run " + prepared.program, code));
  }
  return pid;
}

Result<int> wait_for_exit(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return fail(error_from_errno("cannot wait for a child", errno));
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Result<ProcessResult> run_process(const ProcessRequest& request) {
  BB_TRY(Pipe in, create_pipe());
  BB_TRY(Pipe out, create_pipe());
  BB_TRY(Pipe err, create_pipe());
  ProcessRequest with_pipes = request;
  const auto add = [&](int source, int target) {
    if (std::ranges::none_of(request.fds, [&](const PassedFd& passed) { return passed.target == target; }))
      with_pipes.fds.push_back({source, target});
  };
  add(in.read.get(), 0);
  add(out.write.get(), 1);
  add(err.write.get(), 2);
  BB_TRY(const pid_t pid, spawn_process(with_pipes));
  ChildGuard guard(pid);
  in.read.reset();
  out.write.reset();
  err.write.reset();
  ::fcntl(in.write.get(), F_SETFL, O_NONBLOCK);

  ProcessResult result;
  std::string_view to_write = request.stdin_text;
  if (to_write.empty()) in.write.reset();
  auto deadline = Clock::now() + request.timeout;
  Error stopped;
  bool stopping = false;
  while (out.read || err.read) {
    std::array<pollfd, 4> polled{{{.fd = out.read.get(), .events = POLLIN, .revents = 0},
                                  {.fd = err.read.get(), .events = POLLIN, .revents = 0},
                                  {.fd = in.write.get(), .events = POLLOUT, .revents = 0},
                                  {.fd = stopping ? -1 : request.cancel_fd, .events = POLLIN, .revents = 0}}};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    const int ready = ::poll(polled.data(), polled.size(), static_cast<int>(std::max<std::int64_t>(0, left)));
    if (ready < 0 && errno != EINTR) return fail(error_from_errno("cannot poll", errno));
    const bool cancelled = ready > 0 && (polled[3].revents & (POLLIN | POLLHUP)) != 0;
    // Also while there is something to read: a program that writes without an end must not run without one.
    if (cancelled || left <= 0) {
      if (stopping) {
        ::kill(pid, SIGKILL);  // it had its two seconds
        break;
      }
      stopping = true;
      stopped = cancelled ? make_error(ErrorKind::cancelled, request.argv[0] + " was cancelled")
                          : make_error(ErrorKind::timeout, request.argv[0] + " did not finish in " +
                                                               std::to_string(request.timeout.count()) + " ms");
      ::kill(pid, SIGTERM);
      deadline = Clock::now() + std::chrono::seconds(2);
    }
    if (ready <= 0) continue;
    if (polled[0].revents != 0) read_some(out.read, result.out, request.max_output, result.truncated);
    if (polled[1].revents != 0) read_some(err.read, result.err, request.max_output, result.truncated);
    if (polled[2].revents != 0) {
      const ssize_t written = write_to_child(in.write.get(), to_write);
      if (written > 0) to_write.remove_prefix(static_cast<std::size_t>(written));
      if ((written < 0 && errno != EAGAIN && errno != EINTR) || to_write.empty()) in.write.reset();
    }
  }
  guard.release();
  if (stopping) {
    ::kill(pid, SIGKILL);
    BB_CHECK(wait_for_exit(pid));
    return fail(std::move(stopped));
  }
  BB_TRY(result.code, wait_for_exit(pid));
  return result;
}

}  // namespace bot_bottle
