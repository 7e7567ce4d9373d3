// What every backend on the socket wire needs, so that an author writes isolation and not this: bottle-init's command
// line and its self-test, the guest's /etc, and exec, attach and copies through bottle-init's exec socket (the programs
// are in the path "libexec": bottle-init, bottle-keeper). Not included by plugin.hpp. Functions throw sdk::Error.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bot_bottle/sdk/backend.hpp"

namespace bot_bottle::sdk {

/// Where a bottle's parts have to be in the guest: the host's libexec/bottle-init (read-only) and state_dir/wire.
inline constexpr std::string_view guest_init = "/run/bottle/bin/bottle-init";
inline constexpr std::string_view guest_wire = "/run/bottle/wire";

/// The process service knows no "for ever"; cancellation ends a call before.
inline constexpr std::int64_t no_limit_ms = std::int64_t{7} * 24 * 3600 * 1000;
/// Of one copy: an agent can stop what packs for it.
inline constexpr std::chrono::hours copy_limit{6};
/// What a copy leaves free of the disk that it goes to, as bottle-init does where it unpacks.
inline constexpr std::uint64_t copy_reserve_bytes = std::uint64_t{64} << 20;

class OwnedFd {
 public:
  explicit OwnedFd(int fd) : fd_(fd) {}
  ~OwnedFd() { reset(); }
  OwnedFd(const OwnedFd&) = delete;
  OwnedFd& operator=(const OwnedFd&) = delete;
  [[nodiscard]] int get() const { return fd_; }
  void reset() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

[[noreturn]] inline void throw_errno(const std::string& what) {
  throw Error(Status::internal, what + ": " + std::strerror(errno));
}

/// All of a file; "" when it cannot be read.
inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}
/// Makes the directories above it, too. Not for places that an agent can write to: it follows links.
inline void write_text_file(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  if (!(std::ofstream(path, std::ios::trunc) << text << std::flush)) throw_errno("cannot write " + path.string());
}

namespace detail {
/// A directory of an agent's, whatever its mode forbids its owner, and never through a link; -1. The caller closes it.
inline int open_agents_directory(int at, const char* name) {
  const int there = ::openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (there < 0) return -1;
  const std::string same = "/proc/self/fd/" + std::to_string(there);
  ::chmod(same.c_str(), 0700);  // when it is not ours to change, opening says so
  const int fd = ::open(same.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ::close(there);
  return fd;
}
/// Names in an open directory; takes `fd`.
inline std::vector<std::string> names_in(int fd) {
  std::vector<std::string> names;
  DIR* const stream = ::fdopendir(fd);
  if (stream == nullptr) ::close(fd);
  while (const dirent* found = stream == nullptr ? nullptr : ::readdir(stream))
    if (std::strcmp(found->d_name, ".") != 0 && std::strcmp(found->d_name, "..") != 0)
      names.emplace_back(found->d_name);
  if (stream != nullptr) ::closedir(stream);
  return names;
}
/// Empties an open directory. What lies in a directory of it is moved up first, so that no depth is too deep.
inline bool remove_children(int top) {
  std::uint64_t moved = 0;
  for (std::vector<std::string> names; !(names = names_in(::openat(top, ".", O_RDONLY | O_CLOEXEC))).empty();) {
    for (const std::string& name : names) {
      if (::unlinkat(top, name.c_str(), 0) == 0 || ::unlinkat(top, name.c_str(), AT_REMOVEDIR) == 0) continue;
      const int child = open_agents_directory(top, name.c_str());
      if (child < 0) return false;
      bool going = true;
      for (const std::string& inner : names_in(::dup(child))) {
        if (::unlinkat(child, inner.c_str(), 0) == 0 || ::unlinkat(child, inner.c_str(), AT_REMOVEDIR) == 0) continue;
        const int closed = open_agents_directory(child, inner.c_str());  // one that may not be written is not moved
        if (closed >= 0) ::close(closed);
        do {
          going = ::renameat2(child, inner.c_str(), top, std::to_string(++moved).c_str(), RENAME_NOREPLACE) == 0;
        } while (!going && errno == EEXIST);
        if (!going) break;
      }
      going = going && ::unlinkat(top, name.c_str(), AT_REMOVEDIR) == 0;
      const int reason = errno;
      ::close(child);
      errno = reason;
      if (!going) return false;
    }
  }
  return true;
}
}  // namespace detail

/// Removes what an agent may have made: through no link, directories that their owner may neither read nor write, and
/// at any depth. Nothing there is success.
inline void remove_tree(const std::filesystem::path& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT || errno == ENOTDIR) return;
  const int top = detail::open_agents_directory(AT_FDCWD, path.c_str());
  const bool emptied = top >= 0 && detail::remove_children(top);
  const int reason = errno;
  if (top >= 0) ::close(top);
  errno = reason;
  if (!emptied || ::rmdir(path.c_str()) != 0) throw_errno("cannot remove " + path.string());
}

namespace detail {
inline void check_reserve(int on_disk) {
  struct statvfs space {};
  if (::fstatvfs(on_disk, &space) == 0 &&
      static_cast<std::uint64_t>(space.f_bavail) * space.f_frsize < copy_reserve_bytes)
    throw Error(Status::failed_precondition, "the disk is almost full", "make room and try again");
}

/// From `at` to `end` of both; a source that has become shorter ends it, too.
inline void copy_range(const OwnedFd& from, const OwnedFd& to, off_t at, off_t end,
                       const std::function<void()>& going) {
  constexpr off_t look_every = off_t{16} << 20;
  std::vector<char> bytes(static_cast<std::size_t>(std::min<off_t>(end - at, off_t{256} << 10)));
  for (off_t look_at = at; at < end;) {
    if (at >= look_at) {
      check_reserve(to.get());
      if (going) going();
      look_at = at + look_every;
    }
    const auto most = static_cast<std::size_t>(std::min<off_t>(end - at, static_cast<off_t>(bytes.size())));
    const ssize_t got = ::pread(from.get(), bytes.data(), most, at);
    if (got < 0 && errno != EINTR) throw_errno("cannot read");
    if (got == 0) return;
    for (ssize_t put = 0; put < got;) {
      const ssize_t more = ::pwrite(to.get(), bytes.data() + put, static_cast<std::size_t>(got - put), at + put);
      if (more < 0 && errno != EINTR) throw_errno("cannot write");
      put += std::max<ssize_t>(more, 0);
    }
    at += std::max<ssize_t>(got, 0);
  }
}

/// A new file in place of what is there. Holes stay holes: an agent's file may be of any size and hold nothing.
inline void copy_file(const std::filesystem::path& from, const std::filesystem::path& to,
                      const std::function<void()>& going) {
  const OwnedFd source(::open(from.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat status {};
  if (source.get() < 0 || ::fstat(source.get(), &status) != 0) throw_errno(from.string());
  if (::unlink(to.c_str()) != 0 && errno != ENOENT) throw_errno("cannot replace " + to.string());
  const OwnedFd dest(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (dest.get() < 0) throw_errno("cannot make " + to.string());
  for (off_t at = 0; at < status.st_size;) {
    const off_t data = ::lseek(source.get(), at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;  // only a hole is left
    off_t end = data < 0 ? status.st_size : ::lseek(source.get(), data, SEEK_HOLE);
    if (end < 0 || end > status.st_size) end = status.st_size;
    copy_range(source, dest, data < 0 ? at : data, end, going);
    at = end;
  }
  if (::ftruncate(dest.get(), status.st_size) != 0 || ::fchmod(dest.get(), status.st_mode & 0777) != 0)
    throw_errno(to.string());
}
}  // namespace detail

enum class Links { keep, leave_out };

/// A tree into a place where there may be one; a file or link there gives way. A directory gets its mode when it is
/// full: one that its owner may not write comes across, too. Holes stay holes, copy_reserve_bytes of the disk stay
/// free, and what is no file, directory or link is left out. `going` is called for each entry and each 16 MiB; what it
/// throws ends the copy.
inline void copy_tree(const std::filesystem::path& from, const std::filesystem::path& to, Links links,
                      const std::function<void()>& going = {}) {
  struct stat status {};
  if (going) going();
  if (::lstat(from.c_str(), &status) != 0) throw_errno(from.string());
  if (S_ISREG(status.st_mode)) return detail::copy_file(from, to, going);
  if (S_ISLNK(status.st_mode) && links == Links::keep) {
    using Options = std::filesystem::copy_options;
    return std::filesystem::copy(from, to, Options::copy_symlinks | Options::overwrite_existing);
  }
  if (!S_ISDIR(status.st_mode)) return;
  const bool made = ::mkdir(to.c_str(), 0700) == 0;
  if (!made && (errno != EEXIST || !std::filesystem::is_directory(to))) throw_errno("cannot make " + to.string());
  for (const auto& entry : std::filesystem::directory_iterator(from))
    copy_tree(entry.path(), to / entry.path().filename(), links, going);
  if (made && ::chmod(to.c_str(), status.st_mode & 0777) != 0) throw_errno(to.string());
}

/// The port of an endpoint on the guest's loopback. Error(invalid_argument) for a name that nobody knows.
inline std::string guest_port(std::string_view endpoint) {
  for (const auto& [name, port] :
       {std::pair{"egress", "9099"}, std::pair{"git-gate", "9418"}, std::pair{"supervise", "9100"}})
    if (endpoint == name) return port;
  throw Error(Status::invalid_argument, "unknown endpoint '" + std::string(endpoint) + "'");
}

/// bottle-init's command line for pid 1 of the bottle. Descriptors are the numbers that they have there: `exec_fd` is a
/// listening socket (listen_for_exec), `ready_fd` gets one byte when everything listens, `lifeline_fd` is the pipe
/// whose end is the bottle's (-1: none). `writable` (with /tmp, /dev and /proc) is all that Landlock leaves writable.
inline std::vector<std::string> bottle_init_argv(const std::vector<std::string>& endpoints,
                                                 const std::vector<std::string>& writable, int exec_fd, int ready_fd,
                                                 int lifeline_fd) {
  const std::string wire(guest_wire);
  std::vector<std::string> argv{std::string(guest_init), "--report",   wire + "/report.sock",   "--exec-fd",
                                std::to_string(exec_fd), "--ready-fd", std::to_string(ready_fd)};
  if (lifeline_fd >= 0) argv.insert(argv.end(), {"--lifeline-fd", std::to_string(lifeline_fd)});
  for (const std::string& name : endpoints)
    argv.insert(argv.end(), {"--endpoint", name + "=" + guest_port(name) + ":" + wire + "/" + name + ".sock"});
  for (const std::string& path : writable) argv.insert(argv.end(), {"--writable", path});
  for (const char* path : {"/tmp", "/dev", "/proc"}) argv.insert(argv.end(), {"--writable", path});
  return argv;
}

/// The bottle's document: its endpoints, and the self-test that the core runs after each launch. A bottle that fails it
/// is stopped.
inline Bottle make_bottle(const Plan& plan, const std::vector<std::string>& endpoints) {
  Bottle bottle;
  bottle.slug = plan.slug;
  bottle.backend = plan.backend;
  bottle.state_dir = plan.state_dir;
  bottle.data = plan.data;
  struct stat network {};
  if (::stat("/proc/self/ns/net", &network) != 0) throw_errno("/proc/self/ns/net");
  json::array selftest{guest_init, "--selftest", "--host-network", std::to_string(network.st_ino)};
  for (const std::string& name : endpoints) {
    bottle.endpoints[name] = "127.0.0.1:" + guest_port(name);
    const std::string wire = std::string(guest_wire) + "/" + name + ".sock";
    selftest.emplace_back("--endpoint");
    selftest.emplace_back(name + "=" + guest_port(name) + ":" + wire);
  }
  bottle.extra["selftest"] = std::move(selftest);
  return bottle;
}

/// The guest's /etc: accounts, names of the endpoints, a resolver that refuses, and the CA where programs look.
inline void write_guest_etc(const std::filesystem::path& etc, const Guest& guest,
                            const std::vector<std::string>& endpoints, const std::string& ca_pem) {
  const std::string uid = std::to_string(guest.uid);
  const std::string gid = std::to_string(guest.gid);
  write_text_file(etc / "passwd", guest.user + ":x:" + uid + ":" + gid + "::" + guest.home + ":/bin/sh\n");
  write_text_file(etc / "group", guest.user + ":x:" + gid + ":\n");
  std::string names = "127.0.0.1 localhost";
  for (const std::string& name : endpoints) names += " " + name;
  write_text_file(etc / "hosts", names + "\n");
  write_text_file(etc / "resolv.conf", "nameserver 127.0.0.1\n");
  write_text_file(etc / "bot-bottle" / "ca.pem", ca_pem);
  const std::filesystem::path bundle = "ssl/certs/ca-certificates.crt";
  write_text_file(etc / bundle, read_text("/etc" / bundle) + ca_pem);
  for (const char* name : {"ld.so.cache", "localtime", "alternatives"}) {
    std::error_code ignored;  // where the host has none, none is needed
    using Options = std::filesystem::copy_options;
    std::filesystem::copy(std::filesystem::path("/etc") / name, etc / name,
                          Options::overwrite_existing | Options::copy_symlinks, ignored);
  }
}

/// A listening socket called "exec.sock" in `directory`, in place of an old one. The caller closes it.
inline int listen_for_exec(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "exec.sock";
  std::filesystem::remove(path);
  // A socket's path has room for 107 bytes and a state directory may be longer: bound through a descriptor.
  const int at = ::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ("/proc/self/fd/" + std::to_string(at) + "/exec.sock").copy(address.sun_path, sizeof address.sun_path - 1);
  const bool bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  if (at >= 0) ::close(at);
  if (!bound || ::chmod(path.c_str(), 0600) != 0 || ::listen(fd, 16) != 0) {
    const int reason = errno;
    if (fd >= 0) ::close(fd);
    errno = reason;
    throw_errno(path.string());
  }
  return fd;
}

/// attach_argv through the exec socket in `directory`.
inline Attach attach_by_socket(const Host& host, const Call& call, const std::filesystem::path& directory,
                               const ExecRequest& request) {
  Attach attach;
  attach.argv = {host.path(call, "libexec") + "/bottle-keeper", "attach", "--socket",
                 (directory / "exec.sock").string()};
  attach.env["BB_ATTACH_REQUEST"] = json::serialize(to_json(request));
  return attach;
}

/// exec through it. `stdin_fd`: a pipe or a file.
inline ExecResult exec_by_socket(const Host& host, const Call& call, const std::filesystem::path& directory,
                                 const ExecRequest& request, int stdin_fd) {
  if (request.user != "agent")
    throw Error(Status::unsupported, "there is no user '" + request.user + "' in the bottle");
  Attach attach = attach_by_socket(host, call, directory, request);
  ProcessRequest run;
  run.env = attach.env;
  run.timeout_ms = request.timeout_ms > 0 ? request.timeout_ms : no_limit_ms;
  run.max_output = request.max_output;
  // The process service takes text only; a shell opens the descriptor's file again.
  run.argv = {"/bin/sh", "-c", "exec \"$@\" <\"$0\"",
              stdin_fd < 0 ? "/dev/null" : "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(stdin_fd)};
  run.argv.insert(run.argv.end(), attach.argv.begin(), attach.argv.end());
  const ProcessResult done = host.run(call, run);
  // What did not start says so in words of bottle-keeper's and with a code of its own.
  if (done.err.starts_with("bot-bottle: ") && (done.code == 125 || done.code == 126 || done.code == 127))
    throw Error(done.code == 127 ? Status::not_found : Status::failed_precondition,
                done.err.substr(12, done.err.find_first_of("\r\n", 12) - 12));
  ExecResult result;
  result.code = done.code;
  result.out = done.out;
  result.err = done.err;
  result.truncated = done.truncated;
  return result;
}

namespace detail {
/// A program that was started; what still runs when this goes is killed.
class Started {
 public:
  explicit Started(std::int64_t pid) : pid_(static_cast<pid_t>(pid)) {}
  ~Started() {
    kill();
    while (!code_ && pid_ > 1 && ::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
  }
  Started(const Started&) = delete;
  Started& operator=(const Started&) = delete;
  void kill() const {
    if (!code_ && pid_ > 1) ::kill(pid_, SIGKILL);
  }
  /// Its exit code, or 128 and its signal; nothing while it runs.
  [[nodiscard]] const std::optional<int>& ended() {
    int status = 0;
    const pid_t pid = code_ ? 0 : ::waitpid(pid_, &status, WNOHANG);
    if (pid < 0 && errno != EINTR) {
      pid_ = -1;  // nobody's, or somebody else's by now
      throw_errno("cannot wait for a program");
    }
    if (pid > 0) code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return code_;
  }

 private:
  pid_t pid_;
  std::optional<int> code_;
};

struct PipeEnds {
  PipeEnds() : PipeEnds(make()) {}
  OwnedFd read;
  OwnedFd write;

 private:
  explicit PipeEnds(const std::array<int, 2>& ends) : read(ends[0]), write(ends[1]) {}
  static std::array<int, 2> make() {
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw_errno("cannot make a pipe");
    return ends;
  }
};

/// Adds what there is to read, a pipe's length at most: who never ends may be an agent. Keeps the beginning. False at
/// the end.
inline bool read_available(int fd, std::string& into) {
  constexpr std::size_t most = std::size_t{16} << 10;
  char bytes[4096];
  for (int pieces = 0; pieces < 16; ++pieces) {
    const ssize_t got = ::read(fd, bytes, sizeof bytes);
    if (got <= 0) return got < 0;
    into.append(bytes, std::min(static_cast<std::size_t>(got), most - std::min(most, into.size())));
  }
  return true;
}

/// One program's output is the other's input: nothing lies on a disk between them. Returns when both have ended well.
/// Throws when one has failed, with what both said; when `call` is cancelled; or after `limit`. No way out leaves one
/// running.
inline void run_piped(const Host& host, const Call& call, const ProcessRequest& first, const ProcessRequest& second,
                      std::chrono::milliseconds limit = copy_limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  PipeEnds between;
  PipeEnds errors;
  if (::fcntl(errors.read.get(), F_SETFL, O_NONBLOCK) != 0) throw_errno("cannot use a pipe");
  Started writer(host.spawn(call, first, {{between.write.get(), 1}, {errors.write.get(), 2}}));
  Started reader(host.spawn(call, second, {{between.read.get(), 0}, {errors.write.get(), 2}}));
  for (OwnedFd* ours : {&between.read, &between.write, &errors.write}) ours->reset();
  std::string said;
  bool speaking = true;
  while (!writer.ended() || !reader.ended()) {
    // What nobody takes any more may wait for ever before it notices.
    if (reader.ended().value_or(0) != 0) writer.kill();
    constexpr int look_again_ms = 20;
    pollfd polled[2] = {{speaking ? errors.read.get() : -1, POLLIN, 0}, {call.cancel_fd(), POLLIN, 0}};
    ::poll(polled, 2, look_again_ms);
    speaking = speaking && read_available(errors.read.get(), said);
    call.check_cancelled();
    if (std::chrono::steady_clock::now() > deadline)
      throw Error(Status::timeout, "the copy did not end in " + std::to_string(limit.count() / 1000) + " s");
  }
  if (speaking) read_available(errors.read.get(), said);
  const int code = *reader.ended() != 0 ? *reader.ended() : *writer.ended();
  if (code == 0) return;
  // What the second says of the first one's end, where that has said why.
  constexpr std::string_view consequence = "the archive is cut short\n";
  const std::size_t at = said.find(consequence);
  if (at != std::string::npos && said.size() > consequence.size()) said.erase(at, consequence.size());
  if (said.empty()) said = "code " + std::to_string(code);
  said.erase(said.find_last_not_of("\r\n") + 1);
  throw Error(Status::failed_precondition, "cannot copy: " + to_valid_utf8(said));
}
}  // namespace detail

/// copy_in and copy_out through it: bottle-init packs on one side and unpacks on the other, with the agent's rights in
/// the bottle and through no link. On the way out links are left out, and what comes is of any size: holes stay holes,
/// the host's disk keeps its reserve. A cancelled call ends a copy at once. Each copy has a scratch directory of its
/// own in `directory`; one that was killed leaves it there.
class SocketCopy {
 public:
  SocketCopy(const Host& host, const Call& call, std::filesystem::path directory)
      : host_(host), call_(call), directory_(std::move(directory)) {
    std::filesystem::create_directories(directory_);
    std::string name = (directory_ / "copy.XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw_errno("cannot make " + name);
    scratch_ = name;
    std::filesystem::create_directory(scratch_ / "tree");
  }
  ~SocketCopy() {
    try {
      remove_tree(scratch_);
    } catch (const std::exception&) {
      return;  // it goes with the bottle
    }
  }
  SocketCopy(const SocketCopy&) = delete;
  SocketCopy& operator=(const SocketCopy&) = delete;

  void in(const CopyRequest& request) const {
    const std::filesystem::path dest = std::filesystem::path(request.dest).lexically_normal();
    const std::filesystem::path named = scratch_ / "tree" / packed_name;
    check_kind(request.source, request);
    copy_tree(request.source, named, Links::keep, [this] { call_.check_cancelled(); });
    if (request.mode) std::filesystem::permissions(named, static_cast<std::filesystem::perms>(*request.mode & 0777));
    detail::run_piped(host_, call_, on_host({"--pack", named.string(), dest.filename().string()}),
                      in_guest({"--unpack", dest.parent_path().string()}));
  }

  void out(const CopyRequest& request) const {
    const std::filesystem::path source = std::filesystem::path(request.source).lexically_normal();
    const std::filesystem::path tree = scratch_ / "tree";
    detail::run_piped(host_, call_, in_guest({"--pack", source.string(), packed_name}),
                      on_host({"--unpack", tree.string()}));
    const std::filesystem::path made = tree / packed_name;
    if (!std::filesystem::exists(std::filesystem::symlink_status(made)) || std::filesystem::is_symlink(made))
      throw Error(Status::permission_denied, request.source + " is a link, or nothing that can be copied");
    check_kind(made, request);
    if (request.mode) std::filesystem::permissions(made, static_cast<std::filesystem::perms>(*request.mode & 0777));
    copy_tree(made, request.dest, Links::leave_out, [this] { call_.check_cancelled(); });
  }

 private:
  static constexpr const char* packed_name = "copy";

  static void check_kind(const std::filesystem::path& path, const CopyRequest& request) {
    if (!request.recursive && std::filesystem::is_directory(path))
      throw Error(Status::invalid_argument, request.source + " is a directory", "copy it recursively");
  }

  [[nodiscard]] ProcessRequest on_host(std::vector<std::string> words) const {
    ProcessRequest run;
    run.argv = {host_.path(call_, "libexec") + "/bottle-init"};
    run.argv.insert(run.argv.end(), words.begin(), words.end());
    run.env.emplace();
    return run;
  }
  [[nodiscard]] ProcessRequest in_guest(std::vector<std::string> words) const {
    ExecRequest request;
    request.argv = {std::string(guest_init)};
    request.argv.insert(request.argv.end(), words.begin(), words.end());
    request.cwd = "/";
    const Attach attach = attach_by_socket(host_, call_, directory_, request);
    ProcessRequest run;
    run.argv = attach.argv;
    run.env = attach.env;
    return run;
  }

  const Host& host_;
  const Call& call_;
  std::filesystem::path directory_;
  std::filesystem::path scratch_;
};

}  // namespace bot_bottle::sdk
