#include "sidecar/guest/exec_server.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "sidecar/guest/confine.hpp"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

namespace bot_bottle::guest {

/// How much output of a detached session is kept for the next one who attaches.
constexpr std::size_t max_replay_bytes = std::size_t{64} * 1024;
/// At once. The agent can reach an abstract socket: what comes from the bottle has its own, smaller share, so that it
/// cannot take the operator's places.
constexpr std::size_t max_clients = 64;
constexpr std::size_t max_inside_clients = 32;
/// A process that lies deeper below us than this is counted as one of the bottle's: looking must stay cheap.
constexpr int max_ancestors = 64;

struct ExecServer::Client {
  UniqueFd socket;
  FrameReader reader;
  pid_t program = -1;  // its program, once started
  bool inside = false;
  bool dead = false;
};

struct ExecServer::Program {
  pid_t pid = -1;
  std::string session;
  bool detached = false;
  UniqueFd exec_error;  // CLOEXEC pipe: errno of a failed execve, or the end of it
  UniqueFd master;      // tty only; kept open for a detached session, else handed over
  bool has_tty = false;
  bool started = false;
  bool watching = false;
  std::string replay;
  Client* client = nullptr;
};

namespace {

/// Everything that a child needs, so that nothing is allocated between fork and execve.
struct Launch {
  std::vector<char*> argv;
  std::vector<char*> env;
  std::vector<std::string> candidates;
  const char* cwd = "/";
  std::array<int, 3> standard{-1, -1, -1};
  bool tty = false;
  ChildLimits limits;
  int landlock = -1;
};

void set_limit(int resource, std::uint64_t value) {
  if (value == 0) return;
  struct rlimit limit {};
  // A limit that is stricter already stays: raising it needs a capability that is gone.
  if (::getrlimit(static_cast<__rlimit_resource_t>(resource), &limit) != 0) return;
  limit.rlim_max = std::min<rlim_t>(limit.rlim_max, value);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(static_cast<__rlimit_resource_t>(resource), &limit);
}

[[noreturn]] void run_child(const Launch& launch, int error_fd) {
  ::setsid();
  if (launch.tty) ::ioctl(launch.standard[0], TIOCSCTTY, 0);
  // Up first, so that no dup2 overwrites a source that is still needed.
  std::array<int, 3> lifted{};
  for (std::size_t i = 0; i < 3; ++i) lifted[i] = ::fcntl(launch.standard[i], F_DUPFD_CLOEXEC, 10);
  const int error_up = ::fcntl(error_fd, F_DUPFD_CLOEXEC, 10);
  for (int i = 0; i < 3; ++i) ::dup2(lifted[static_cast<std::size_t>(i)], i);
  const int landlock = launch.landlock < 0 ? -1 : ::fcntl(launch.landlock, F_DUPFD_CLOEXEC, 10);
  // Nothing else is inherited (attack C8): not the exec socket, not the wire's listeners. Each is close-on-exec by
  // itself, too: gVisor does not know the flag.
  ::syscall(SYS_close_range, 3U, ~0U, static_cast<unsigned>(CLOSE_RANGE_CLOEXEC));

  for (int number = 1; number < 32; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::umask(022);
  set_limit(RLIMIT_NPROC, launch.limits.processes);
  set_limit(RLIMIT_DATA, launch.limits.data_bytes);
  set_limit(RLIMIT_NOFILE, launch.limits.files);
  int code = 0;
  if (::chdir(launch.cwd) != 0) code = errno;
  // The guard before the program: without it nothing is run (attack H9, no silent best effort).
  if (code == 0 && landlock >= 0 && !enter_landlock(landlock)) code = errno;
  if (code == 0) {
    code = ENOENT;
    for (const std::string& candidate : launch.candidates) {
      ::execve(candidate.c_str(), launch.argv.data(), launch.env.data());
      if (errno != ENOENT && errno != ENOTDIR) code = errno;
      if (errno == ENOEXEC || errno == E2BIG) break;
    }
  }
  [[maybe_unused]] const ssize_t told = ::write(error_up, &code, sizeof code);
  ::_exit(127);
}

/// The files that argv[0] may mean: itself when it has a slash, else every directory of the request's PATH.
std::vector<std::string> make_candidates(const Request& request) {
  if (request.argv[0].find('/') != std::string::npos) return {request.argv[0]};
  std::string path = "/usr/local/bin:/usr/bin:/bin";
  for (const std::string& line : request.env)
    if (line.starts_with("PATH=")) path = line.substr(5);
  std::vector<std::string> candidates;
  std::size_t from = 0;
  while (from <= path.size()) {
    const std::size_t to = std::min(path.find(':', from), path.size());
    if (to > from) candidates.push_back(path.substr(from, to - from) + "/" + request.argv[0]);
    from = to + 1;
  }
  return candidates;
}

/// Only pipes and sockets: a terminal, file or directory of the operator must not get in (attack C8).
bool is_pipe_or_socket(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode));
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const std::string& text : strings) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

}  // namespace

namespace {

/// The parent of a process, 0 where that is outside of this namespace; -1 when it cannot be told. What comes behind the
/// last parenthesis is the kernel's, whatever a process calls itself.
pid_t parent_of(pid_t pid) {
  std::array<char, 64> path{};
  std::snprintf(path.data(), path.size(), "/proc/%d/stat", static_cast<int>(pid));
  const UniqueFd file(::open(path.data(), O_RDONLY | O_CLOEXEC));
  std::array<char, 512> text{};
  const ssize_t got = file ? ::read(file.get(), text.data(), text.size() - 1) : -1;
  const std::string_view line(text.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  const std::size_t name_end = line.rfind(')');
  constexpr std::size_t state_length = std::string_view(") S ").size();
  if (name_end == std::string_view::npos || line.size() - name_end < state_length) return -1;
  pid_t parent = -1;
  const auto [end, error] = std::from_chars(line.data() + name_end + state_length, line.data() + line.size(), parent);
  return error == std::errc() ? parent : -1;
}

/// Whether a process of this bottle made the connection: whatever the agent starts descends from us, what an engine's
/// exec starts does not. Its uid says nothing, it may be the agent's for both. What cannot be told (gVisor gives our
/// own number for everybody's) counts as inside: that is the smaller share.
bool is_from_inside(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return true;
  pid_t pid = peer.pid;  // 0: of another namespace
  for (int i = 0; i < max_ancestors && pid > 0; ++i) {
    if (pid == ::getpid()) return true;
    pid = parent_of(pid);
  }
  return pid != 0;
}

}  // namespace

ExecServer::ExecServer(Loop& loop, UniqueFd listener, ChildLimits limits, UniqueFd landlock)
    : loop_(loop), listener_(std::move(listener)), limits_(limits), landlock_(std::move(landlock)) {
  if (!listener_) return;
  ::fcntl(listener_.get(), F_SETFL, O_NONBLOCK);
  loop_.add(listener_.get(), EPOLLIN, [this](std::uint32_t) { on_connection(); });
}

ExecServer::~ExecServer() = default;

void ExecServer::on_connection() {
  UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket || ending_) return;
  const bool inside = is_from_inside(socket.get());
  if (!make_room(inside)) {
    refuse(socket.get(), EAGAIN, "the bottle serves as many at once as it can: end some of its programs");
    return;
  }
  clients_.push_back(std::make_unique<Client>());
  Client* const client = clients_.back().get();
  client->socket = std::move(socket);
  client->inside = inside;
  if (!loop_.add(client->socket.get(), EPOLLIN, [this, client](std::uint32_t) { on_bytes(*client); })) drop(*client);
}

/// Where there is none left, the oldest one from inside that runs no program gives way. Never one of the operator's:
/// the agent could throw them out.
bool ExecServer::make_room(bool inside) {
  const auto counts = [inside](const auto& client) { return !client->dead && (!inside || client->inside); };
  const auto taken = static_cast<std::size_t>(std::ranges::count_if(clients_, counts));
  if (taken < (inside ? max_inside_clients : max_clients)) return true;
  const auto idle = std::ranges::find_if(
      clients_, [](const auto& client) { return !client->dead && client->inside && client->program <= 0; });
  if (idle == clients_.end()) return false;
  refuse((*idle)->socket.get(), EAGAIN, "the bottle serves others, and nothing was asked of it here");
  drop(**idle);
  return true;
}

void ExecServer::on_bytes(Client& client) {
  const FrameReader::Got got = client.reader.receive(client.socket.get());
  if (got == FrameReader::Got::ended) return drop(client);
  Frame frame;
  while (!client.dead) {
    const FrameReader::Got next = client.reader.next(frame);
    if (next == FrameReader::Got::ended) return drop(client);
    if (next != FrameReader::Got::frame) return;
    on_frame(client, frame);
  }
}

void ExecServer::on_frame(Client& client, const Frame& frame) {
  switch (frame.type) {
    case FrameType::request: {
      Request request;
      if (client.program > 0 || !decode(frame.payload, request)) return drop(client);
      if (!request.session.empty())
        for (const auto& [pid, program] : programs_)
          if (program->session == request.session) return attach(client, *program);
      if (request.argv.empty() || request.argv[0].empty())
        return refuse(client.socket.get(), ENOENT, "no such session, and no program to start");
      return start(client, request);
    }
    case FrameType::signal: {
      const int number = frame.payload.size() == 1 ? frame.payload[0] : 0;
      if (client.program > 0 && number > 0 && number < 32) ::kill(-client.program, number);
      return;
    }
    case FrameType::shutdown:
      return shut_down();
    default:
      return drop(client);
  }
}

void ExecServer::refuse(int socket, int error, std::string_view text) {
  send_frame(socket, FrameType::failed, encode_u32(static_cast<std::uint32_t>(error)) + std::string(text));
}

void ExecServer::start(Client& client, const Request& request) {
  std::vector<UniqueFd> passed = client.reader.take_fds();
  for (const UniqueFd& fd : passed)
    if (!is_pipe_or_socket(fd.get()))
      return refuse(client.socket.get(), EBADF, "only pipes and sockets may be passed in");
  auto program = std::make_unique<Program>();
  program->session = request.session;
  program->detached = request.detached;
  program->has_tty = request.tty;
  Launch launch;
  UniqueFd slave;
  UniqueFd null;
  if (request.tty) {
    program->master.reset(::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
    int unlocked = 0;
    if (!program->master || ::ioctl(program->master.get(), TIOCSPTLCK, &unlocked) != 0)
      return refuse(client.socket.get(), errno, "cannot open a terminal in the bottle");
    slave.reset(::ioctl(program->master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!slave) return refuse(client.socket.get(), errno, "cannot open a terminal in the bottle");
    winsize size{};
    size.ws_row = request.rows == 0 ? 24 : request.rows;
    size.ws_col = request.columns == 0 ? 80 : request.columns;
    ::ioctl(slave.get(), TIOCSWINSZ, &size);
    launch.standard = {slave.get(), slave.get(), slave.get()};
  } else if (passed.size() == 3) {
    launch.standard = {passed[0].get(), passed[1].get(), passed[2].get()};
  } else if (passed.empty() && request.detached) {
    null.reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null) return refuse(client.socket.get(), errno, "cannot open /dev/null in the bottle");
    launch.standard = {null.get(), null.get(), null.get()};
  } else {
    return refuse(client.socket.get(), EBADF, "three descriptors are needed");
  }
  launch.argv = pointers(request.argv);
  launch.env = pointers(request.env);
  launch.candidates = make_candidates(request);
  if (!request.cwd.empty()) launch.cwd = request.cwd.c_str();
  launch.tty = request.tty;
  launch.limits = limits_;
  launch.landlock = landlock_.get();

  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return refuse(client.socket.get(), errno, "cannot make a pipe");
  program->exec_error.reset(ends[0]);
  const UniqueFd error_write(ends[1]);
  const pid_t pid = ::fork();
  if (pid == 0) run_child(launch, error_write.get());
  if (pid < 0) return refuse(client.socket.get(), errno, "cannot start a process in the bottle");
  program->pid = pid;
  program->client = &client;
  client.program = pid;
  Program* const raw = program.get();
  programs_[pid] = std::move(program);
  // Not waited for: an execve on a slow file system must not hold up the forwarders.
  loop_.add(raw->exec_error.get(), EPOLLIN, [this, raw](std::uint32_t) { on_started(*raw); });
}

void ExecServer::on_started(Program& program) {
  int code = 0;
  const ssize_t got = ::read(program.exec_error.get(), &code, sizeof code);
  if (got < 0 && errno == EINTR) return;
  loop_.remove(program.exec_error.get());
  program.exec_error.reset();
  Client* const client = program.client;
  if (got == sizeof code) {  // the child is on its way out; on_exit finds it without a client and only reaps
    program.client = nullptr;
    program.session.clear();
    if (client != nullptr) {
      client->program = -1;
      refuse(client->socket.get(), code, std::strerror(code));
    }
    return;
  }
  program.started = true;
  if (client != nullptr) attach(*client, program);
}

void ExecServer::attach(Client& client, Program& program) {
  if (program.client != nullptr && program.client != &client)
    return refuse(client.socket.get(), EBUSY, "somebody is attached to this session");
  if (!program.started && program.client != &client)
    return refuse(client.socket.get(), EAGAIN, "the session is starting");
  if (program.watching) {
    loop_.remove(program.master.get());
    program.watching = false;
  }
  program.client = &client;
  client.program = program.pid;
  const std::string payload = encode_u32(static_cast<std::uint32_t>(program.pid)) + program.replay;
  program.replay.clear();
  const int master = program.master.get();
  const bool sent = send_frame(client.socket.get(), FrameType::started, payload,
                               program.has_tty ? std::span<const int>(&master, 1) : std::span<const int>());
  // A session keeps its terminal when the client goes; anything else hangs up with it.
  if (!program.detached) program.master.reset();
  if (!sent) drop(client);
}

void ExecServer::on_output(Program& program) {
  std::array<char, 16384> bytes{};
  const ssize_t got = ::read(program.master.get(), bytes.data(), bytes.size());
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got <= 0) {
    loop_.remove(program.master.get());
    program.watching = false;
    return;
  }
  program.replay.append(bytes.data(), static_cast<std::size_t>(got));
  if (program.replay.size() > max_replay_bytes) program.replay.erase(0, program.replay.size() - max_replay_bytes);
}

void ExecServer::drop(Client& client) {
  if (client.dead) return;
  client.dead = true;
  loop_.remove(client.socket.get());
  client.socket.reset();
  const auto found = programs_.find(client.program);
  if (found != programs_.end() && found->second->client == &client) {
    Program& program = *found->second;
    program.client = nullptr;
    if (!program.detached) {
      ::kill(-program.pid, SIGHUP);
      loop_.after(std::chrono::seconds(2), [this, pid = program.pid] {
        if (programs_.contains(pid)) ::kill(-pid, SIGKILL);
      });
    } else if (program.has_tty && program.master) {
      ::fcntl(program.master.get(), F_SETFL, O_NONBLOCK);
      program.watching =
          loop_.add(program.master.get(), EPOLLIN, [this, raw = &program](std::uint32_t) { on_output(*raw); });
    }
  }
  loop_.later(
      [this, gone = &client] { std::erase_if(clients_, [gone](const auto& entry) { return entry.get() == gone; }); });
}

void ExecServer::on_exit(pid_t pid, int status) {
  const auto found = programs_.find(pid);
  if (found == programs_.end()) return;
  Program& program = *found->second;
  if (program.exec_error) on_started(program);  // what it says comes before how it ended
  if (program.watching) loop_.remove(program.master.get());
  if (Client* const client = program.client; client != nullptr) {
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    client->program = -1;
    send_frame(client->socket.get(), FrameType::exited, encode_u32(static_cast<std::uint32_t>(code)));
  }
  programs_.erase(pid);
}

void ExecServer::shut_down() {
  if (ending_) return;
  ending_ = true;
  ::kill(-1, SIGTERM);
  if (::waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD) ::_exit(0);  // nobody to wait for
  loop_.after(std::chrono::seconds(1), [] { ::_exit(0); });  // the kernel ends the rest of the namespace with pid 1
}

}  // namespace bot_bottle::guest
