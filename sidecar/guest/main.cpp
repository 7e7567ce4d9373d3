// bottle-init: pid 1 of a bottle (see README.md). Options come from the backend on argv; there is no configuration
// file.
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
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
#include "sidecar/guest/filter.hpp"
#include "sidecar/guest/forward.hpp"
#include "sidecar/guest/lifeline.hpp"
#include "sidecar/guest/loop.hpp"
#include "sidecar/guest/protocol.hpp"
#include "sidecar/guest/relay.hpp"
#include "sidecar/guest/seal.hpp"
#include "sidecar/guest/selftest.hpp"
#include "sidecar/guest/tree.hpp"

namespace {

using namespace bot_bottle;
using namespace bot_bottle::guest;

struct Options {
  std::vector<Endpoint> endpoints;
  std::string report;
  int exec_fd = -1;               // a listening unix socket: the exec server
  bool exec_abstract = false;     // or an abstract one of our own
  std::string lifeline;           // followed: its end is the end of the bottle
  std::vector<std::string> hold;  // service: held for those who follow us
  std::string log;                // service: standard output and error of all
  bool config = false;            // service: the program's input is framed in ours (lifeline.hpp)
  bool stdin_lifeline = false;
  int lifeline_fd = -1;  // its end is the end of the bottle
  int ready_fd = -1;     // one byte when everything listens
  std::optional<unsigned> uid;
  std::optional<unsigned> gid;
  ChildLimits limits;
  std::vector<std::string> writable;  // for Landlock; none: no Landlock
  bool filter = false;                // of system calls: nobody else puts one on us
  bool without_dns = false;           // nobody answers on port 53: what asks is refused, but not seen
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
    } else if (name == "--exec-abstract") {
      options.exec_abstract = true;
    } else if (name == "--filter") {
      options.filter = true;
    } else if (name == "--config") {
      options.config = true;
    } else if (name == "--stdin-lifeline") {
      options.stdin_lifeline = true;
    } else if (name == "--without-dns") {
      options.without_dns = true;
    } else if (name == "--own-kernel") {
      options.test.own_kernel = true;
    } else if (name == "--host-sockets") {
      options.test.host_sockets = true;
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
      } else if (name == "--lifeline") {
        options.lifeline = value;
      } else if (name == "--hold") {
        options.hold.emplace_back(value);
      } else if (name == "--log") {
        options.log = value;
      } else if (name == "--wire-address") {
        options.test.wire_address = value;
      } else if (name == "--gateway") {
        options.test.gateway = value;
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

pid_t start_program(char** argv, sigset_t before, bool own_session, int standard_in) {
  const pid_t pid = ::fork();
  if (pid < 0) die("cannot start a process");
  if (pid > 0) return pid;
  if (own_session) ::setsid();
  if (standard_in >= 0) ::dup2(standard_in, 0);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  ::execvp(argv[0], argv);
  die(std::string("cannot run ") + argv[0] + ": " + std::strerror(errno));
}

/// A log in a directory that the program below may write: no link, no special file (attack H1).
void open_log(const std::string& path) {
  const UniqueFd log(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  struct stat status {};
  if (!log || ::fstat(log.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_nlink != 1)
    die("cannot open " + path);
  ::dup2(log.get(), 1);
  ::dup2(log.get(), 2);
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
    // Whatever leaves its parent comes to us, also where another is pid 1: exec_server.cpp tells by that who is inside.
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    // First what needs capabilities, then they go, and only then anything hostile can exist.
    if (!bring_up_loopback()) die(std::string("cannot bring up lo: ") + std::strerror(errno));
    bool must_listen = true;
#ifdef BB_TEST_HOOKS
    must_listen = !options.tolerate_no_listeners;  // in the host's network the ports are taken or not ours
#endif
    if (!options.without_dns && !serve_dns(loop, options.report) && must_listen)
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
  if (options.filter && !install_filter())
    die(std::string("this kernel takes no filter of system calls: ") + std::strerror(errno));

  if (!options.log.empty()) open_log(options.log);
  for (const std::string& hold : options.hold)
    if (!hold_lifelines(loop, hold)) die("cannot listen on " + hold + ": " + std::strerror(errno));
  if (!options.lifeline.empty()) follow_lifeline(loop, options.lifeline);

  UniqueFd landlock;
  if (!options.writable.empty()) landlock = make_landlock(options.writable);
  UniqueFd listener(options.exec_fd);
  if (options.exec_abstract) listener.reset(listen_abstract(exec_socket_name));
  if (options.exec_abstract && !listener) die(std::string("cannot listen for requests: ") + std::strerror(errno));
  ExecServer server(loop, std::move(listener), options.limits, std::move(landlock));
  std::array<int, 2> configuration{-1, -1};
  if (options.config && ::pipe2(configuration.data(), O_CLOEXEC) != 0) die("cannot make a pipe");
  pid_t program = -1;
  if (options.program != nullptr && *options.program != nullptr)
    program = start_program(options.program, before, !options.service, configuration[0]);
  if (options.config) {
    ::close(configuration[0]);
    feed_configuration(loop, UniqueFd(configuration[1]),
                       options.stdin_lifeline ? AfterConfig::wait_for_end : AfterConfig::ignore_end,
                       [&program] { ::kill(program, SIGTERM); });
  }

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
  // What the backend runs beside pid 1: one verb and what it is about.
  const std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb == "--relay") return run_relay(exec_socket_name);
  if ((argc == 3 || argc == 4) && verb == "--pack") return run_pack(argv[2], argc == 4 ? argv[3] : "copy");
  if (argc == 3 && verb == "--unpack") return run_unpack(argv[2]);
  if (argc == 3 && verb == "--seal-network") return seal_network(argv[2]);
  Options options = parse(argc, argv);
  if (options.selftest) {
    options.test.endpoints = options.endpoints;
    const std::vector<std::string> failed = run_selftest(options.test);
    std::puts(selftest_json(failed).c_str());
    return failed.empty() ? 0 : 1;
  }
  run(options);
}
