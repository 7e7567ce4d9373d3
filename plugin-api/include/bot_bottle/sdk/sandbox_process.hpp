// A process that outlives the command which started it, with a lock that it holds as long as it lives: what runs is
// then known by the kernel and not by a file's content. For backends on Linux; not included by plugin.hpp. Throws
// sdk::Error.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bot_bottle/sdk/bottle_parts.hpp"
#include "bot_bottle/sdk/seccomp.hpp"

namespace bot_bottle::sdk {

/// Named by its lock file, which lies where no agent and no sidecar can write.
class SandboxProcess {
 public:
  explicit SandboxProcess(std::filesystem::path lock) : lock_(std::move(lock)) {}

  /// Asks with a shared lock, so that two who ask at once do not take each other for the process.
  [[nodiscard]] bool runs() const {
    const OwnedFd file(::open(lock_.c_str(), O_RDWR | O_CLOEXEC));
    return file.get() >= 0 && ::flock(file.get(), LOCK_SH | LOCK_NB) != 0;
  }

  /// Starts `request.argv` in a session of its own, behind forbid_dangerous_calls(), and returns when its descriptor
  /// `ready_at` has got a byte. At `lock_at` it has the lock: what shall not hold it closes that. Standard output and
  /// error go to `log`. A `fds` source of -1 is left out. On failure nothing is left.
  void start(const Host& host, const Call& call, ProcessRequest request, std::vector<ChildFd> fds, int ready_at,
             int lock_at, const std::filesystem::path& log) const {
    std::filesystem::create_directories(lock_.parent_path());
    OwnedFd file(::open(lock_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    const OwnedFd output(::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (file.get() < 0 || output.get() < 0) throw_errno("cannot open " + (file.get() < 0 ? lock_ : log).string());
    for (int tries = 0; ::flock(file.get(), LOCK_EX | LOCK_NB) != 0; ++tries, ::poll(nullptr, 0, 10))
      if (tries >= 10)
        throw Error(Status::already_exists, lock_.string() + " is held");  // who asks has it for a moment
    if (::ftruncate(file.get(), 0) != 0) throw_errno(lock_.string());  // a former life's pid may be anybody's by now
    int ends[2] = {-1, -1};
    if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno("cannot make a pipe");
    const OwnedFd ready(ends[0]);
    OwnedFd ready_write(ends[1]);
    std::erase_if(fds, [](const ChildFd& fd) { return fd.source < 0; });
    fds.insert(fds.end(), {{output.get(), 1}, {output.get(), 2}, {ends[1], ready_at}, {file.get(), lock_at}});
    request.session = true;
    std::exception_ptr problem;
    // A thread's filter is inherited by what it starts, and by nothing else of the host's process.
    std::thread([&] {
      try {
        forbid_dangerous_calls();
        write_text_file(lock_, std::to_string(host.spawn(call, request, fds)));
      } catch (...) {
        problem = std::current_exception();
      }
    }).join();
    if (problem) std::rethrow_exception(problem);
    ready_write.reset();
    pollfd polled[2] = {{ready.get(), POLLIN, 0}, {call.cancel_fd(), POLLIN, 0}};
    while (::poll(polled, 2, -1) < 0 && errno == EINTR) continue;
    char byte = 0;
    if (polled[1].revents == 0 && ::read(ready.get(), &byte, 1) == 1) return;
    file.reset();  // from here on the lock is the process's alone
    end();
    call.check_cancelled();
    const std::string why = read_text(log);
    throw Error(Status::failed_precondition, "the sandbox did not start: " + why.substr(0, why.find('\n')),
                log.string());
  }

  /// SIGKILL; returns when the lock is free. Not running is success.
  void end() const {
    for (int tries = 0; runs(); ++tries, ::poll(nullptr, 0, 10)) {
      const pid_t pid = std::atoi(read_text(lock_).c_str());  // written by us, and the lock says that it lives
      if (pid > 1) ::kill(pid, SIGKILL);
      if (pid > 1) ::waitpid(pid, nullptr, WNOHANG);
      if (tries > 500) throw Error(Status::timeout, "pid " + std::to_string(pid) + " does not end");
    }
  }

 private:
  std::filesystem::path lock_;
};

/// A backend whose two sandboxes are SandboxProcesses and whose bottle has listen_for_exec(own(state_dir)): an author
/// writes probe, plan, start_sidecar and launch.
class SocketBackend : public Backend {
 public:
  ExecResult exec(const Call& call, const Bottle& bottle, const ExecRequest& request, int stdin_fd) override {
    return exec_by_socket(host(), call, own(bottle.state_dir), request, stdin_fd);
  }
  Attach attach_argv(const Call& call, const Bottle& bottle, const ExecRequest& request) override {
    return attach_by_socket(host(), call, own(bottle.state_dir), request);
  }
  void copy_in(const Call& call, const Bottle& bottle, const CopyRequest& request) override {
    SocketCopy(host(), call, own(bottle.state_dir)).in(request);
  }
  void copy_out(const Call& call, const Bottle& bottle, const CopyRequest& request) override {
    SocketCopy(host(), call, own(bottle.state_dir)).out(request);
  }
  /// A bottle that does not end is no reason to leave the sidecar with its secrets.
  void stop(const Call&, const Bottle& bottle) override {
    std::exception_ptr first;
    for (const char* part : {"bottle", "sidecar"}) {
      try {
        process(bottle.state_dir, part).end();
      } catch (const std::exception&) {
        if (!first) first = std::current_exception();
      }
    }
    if (first) std::rethrow_exception(first);
  }
  void remove(const Call& call, const Bottle& bottle) override {
    stop(call, bottle);
    remove_tree(own(bottle.state_dir));
  }
  Bottles enumerate(const Call& call) override {
    Bottles found;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(host().path(call, "state"), none)) {
      const bool bottle = process(entry, "bottle").runs();
      const bool sidecar = process(entry, "sidecar").runs();
      if (!bottle && !sidecar) continue;
      RunningBottle& one = found.bottles.emplace_back();
      one.slug = entry.path().filename();
      one.status = bottle && sidecar ? "running" : "degraded";
      one.state_dir = entry.path();
    }
    return found;
  }

 protected:
  /// The backend's own part of a bottle's state.
  static std::filesystem::path own(const std::filesystem::path& state_dir) { return state_dir / "backend"; }
  static SandboxProcess process(const std::filesystem::path& state_dir, const std::string& part) {
    return SandboxProcess(own(state_dir) / (part + ".lock"));
  }
};

}  // namespace bot_bottle::sdk
