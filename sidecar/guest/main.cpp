// bottle-init: pid 1 of a bottle (see README.md). Options come from the backend on argv; there is no configuration
// file.
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/guest/confine.hpp"
#include "sidecar/guest/exec_server.hpp"
#include "sidecar/guest/forward.hpp"
#include "sidecar/guest/loop.hpp"
#include "sidecar/guest/selftest.hpp"

namespace {

using namespace bot_bottle;
using namespace bot_bottle::guest;

struct Options {
  std::vector<Endpoint> endpoints;
  std::string report;
  int exec_fd = -1;      // a listening unix socket: the exec server
  int lifeline_fd = -1;  // its end is the end of the bottle
  int ready_fd = -1;     // one byte when everything listens
  std::optional<unsigned> uid;
  std::optional<unsigned> gid;
  ChildLimits limits;
  std::vector<std::string> writable;  // for Landlock; none: no Landlock
  bool service = false;               // no network part: only reap and forward signals (the sidecar's pid 1)
  bool selftest = false;
  SelftestOptions test;
#ifdef BB_TEST_HOOKS
  bool keep_capabilities = false;
  bool tolerate_no_listeners = false;
#endif
  char** program = nullptr;  // behind "--"; its end is the end of the bottle
};

[[noreturn]] void die(const std::string& what) {
  const std::string line = "bottle-init: " + what + "\n";
  [[maybe_unused]] const ssize_t written = ::write(2, line.data(), line.size());
  ::_exit(125);
}

template <typename T>
T number(std::string_view option, const char* text) {
  T value = 0;
  const std::string_view view(text);
  const auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), value);
  if (error != std::errc() || end != view.data() + view.size()) die("bad value for " + std::string(option));
  return value;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--") {
      options.program = argv + i + 1;
      break;
    }
    if (name == "--service") {
      options.service = true;
    } else if (name == "--selftest") {
      options.selftest = true;
    } else if (name == "--no-own-seccomp") {
      options.test.expect_seccomp = false;
#ifdef BB_TEST_HOOKS
    } else if (name == "--keep-capabilities") {
      options.keep_capabilities = true;
    } else if (name == "--tolerate-no-listeners") {
      options.tolerate_no_listeners = true;
#endif
    } else if (i + 1 >= argc) {
      die("unknown option or missing value: " + std::string(name));
    } else {
      const char* const value = argv[++i];
      if (name == "--endpoint") {
        Endpoint endpoint;
        if (!parse_endpoint(value, endpoint)) die("bad --endpoint (NAME=PORT:/absolute/socket)");
        options.endpoints.push_back(std::move(endpoint));
      } else if (name == "--report") {
        options.report = value;
      } else if (name == "--exec-fd") {
        options.exec_fd = number<int>(name, value);
      } else if (name == "--lifeline-fd") {
        options.lifeline_fd = number<int>(name, value);
      } else if (name == "--ready-fd") {
        options.ready_fd = number<int>(name, value);
      } else if (name == "--uid") {
        options.uid = number<unsigned>(name, value);
      } else if (name == "--gid") {
        options.gid = number<unsigned>(name, value);
      } else if (name == "--max-processes") {
        options.limits.processes = number<std::uint64_t>(name, value);
      } else if (name == "--max-data") {
        options.limits.data_bytes = number<std::uint64_t>(name, value);
      } else if (name == "--max-files") {
        options.limits.files = number<std::uint64_t>(name, value);
      } else if (name == "--writable") {
        options.writable.emplace_back(value);
      } else if (name == "--host-network") {
        options.test.host_network = number<std::uint64_t>(name, value);
      } else {
        die("unknown option " + std::string(name));
      }
    }
  }
  return options;
}

void become(const Options& options) {
  if (options.gid) {
    if (::setgroups(0, nullptr) != 0 && errno != EPERM) die("cannot drop groups");
    if (::setresgid(*options.gid, *options.gid, *options.gid) != 0) die("cannot change to the agent's group");
  }
  if (options.uid) {
    ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);  // the bounding set is emptied afterwards
    if (::setresuid(*options.uid, *options.uid, *options.uid) != 0) die("cannot change to the agent's user");
  }
}

pid_t start_program(char** argv, sigset_t before, bool own_session) {
  const pid_t pid = ::fork();
  if (pid < 0) die("cannot start a process");
  if (pid > 0) return pid;
  if (own_session) ::setsid();
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  ::execvp(argv[0], argv);
  die(std::string("cannot run ") + argv[0] + ": " + std::strerror(errno));
}

int exit_code(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

[[noreturn]] void run(const Options& options) {
  for (const int fd : {options.exec_fd, options.lifeline_fd, options.ready_fd})
    if (fd >= 0 && ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) die("a descriptor is not open");

  sigset_t handled;
  sigset_t before;
  ::sigemptyset(&handled);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD}) ::sigaddset(&handled, signal);
  ::sigprocmask(SIG_BLOCK, &handled, &before);
  ::signal(SIGPIPE, SIG_IGN);
  const UniqueFd signals(::signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) die("cannot watch signals");

  Loop loop;
  if (!options.service) {
    // First what needs capabilities, then they go, and only then anything hostile can exist.
    if (!bring_up_loopback()) die(std::string("cannot bring up lo: ") + std::strerror(errno));
    bool must_listen = true;
#ifdef BB_TEST_HOOKS
    must_listen = !options.tolerate_no_listeners;  // in the host's network the ports are taken or not ours
#endif
    if (!serve_dns(loop, options.report) && must_listen)
      die(std::string("cannot listen on 127.0.0.1:53: ") + std::strerror(errno));
    for (const Endpoint& endpoint : options.endpoints)
      if (must_listen && !serve_endpoint(loop, endpoint))
        die("cannot listen on 127.0.0.1:" + std::to_string(endpoint.port) + ": " + std::strerror(errno));
  }
  become(options);
#ifdef BB_TEST_HOOKS
  if (!options.keep_capabilities)
#endif
    if (!drop_privileges()) die(std::string("cannot drop privileges: ") + std::strerror(errno));

  UniqueFd landlock;
  if (!options.writable.empty()) landlock = make_landlock(options.writable);
  ExecServer server(loop, UniqueFd(options.exec_fd), options.limits, std::move(landlock));
  pid_t program = -1;
  if (options.program != nullptr && *options.program != nullptr)
    program = start_program(options.program, before, !options.service);

  loop.add(signals.get(), EPOLLIN, [&](std::uint32_t) {
    signalfd_siginfo info{};
    while (::read(signals.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      if (info.ssi_signo == SIGCHLD) {
        int status = 0;
        pid_t pid = 0;
        while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
          if (pid == program) ::_exit(exit_code(status));
          server.on_exit(pid, status);
        }
        if (pid < 0 && errno == ECHILD && server.is_ending()) ::_exit(0);
      } else if (info.ssi_pid == 0 || options.service) {
        // Only from outside (a sender in this namespace has a pid): the agent has our uid and may signal us.
        if (program > 0)
          ::kill(program, static_cast<int>(info.ssi_signo));
        else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
          server.shut_down();
      }
    }
  });
  if (options.lifeline_fd >= 0) loop.add(options.lifeline_fd, EPOLLIN, [](std::uint32_t) { ::_exit(0); });
  if (options.ready_fd >= 0) {
    [[maybe_unused]] const ssize_t told = ::write(options.ready_fd, "1", 1);
    ::close(options.ready_fd);
  }
  loop.run();
}

}  // namespace

int main(int argc, char** argv) {
  Options options = parse(argc, argv);
  if (options.selftest) {
    options.test.endpoints = options.endpoints;
    const std::vector<std::string> failed = run_selftest(options.test);
    std::puts(selftest_json(failed).c_str());
    return failed.empty() ? 0 : 1;
  }
  run(options);
}
