// `bottle-keeper run`: holds one sandbox from its start to its end.
#include "keeper/run.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>

#include "core/base/clock.hpp"
#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "keeper/disk_guard.hpp"
#include "keeper/pause.hpp"
#include "keeper/sandbox.hpp"
#include "plugins/backend-local/processes.hpp"
#include "plugins/backend-local/seccomp.hpp"
#include "sidecar/guest/protocol.hpp"

namespace bot_bottle::backend_local {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds start_timeout{15'000};
constexpr std::chrono::milliseconds end_grace{2'000};
constexpr int tick_ms = 250;

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Result<Pipe> create_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(error_from_errno("cannot make a pipe", errno));
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

/// Opens a log below a directory that a compromised sidecar may write: no link, no special file (attack H1).
Result<UniqueFd> open_log(const std::string& path) {
  UniqueFd log(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  struct stat status {};
  if (!log || ::fstat(log.get(), &status) != 0) return fail(error_from_errno("cannot open " + path, errno));
  if (!S_ISREG(status.st_mode) || status.st_nlink != 1)
    return fail(ErrorKind::permission_denied, path + " is not a plain file", "remove it");
  return log;
}

class Keeper {
 public:
  Keeper(KeeperDocument document, const KeeperOptions& options) : document_(std::move(document)), options_(options) {}
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;
  ~Keeper() { clean_up(); }

  Result<void> start() {
    BB_CHECK(take_lock());
    const std::string logs = document_.state_dir + "/logs/";
    log_path_ = logs + "keeper-" + std::string(name_of(document_.component)) + ".log";
    if (document_.component == Component::sidecar) log_path_ = logs + "sidecar.log";
    BB_TRY(log_, open_log(log_path_));
    log_start_ = ::lseek(log_.get(), 0, SEEK_END);
    ::unlink(exit_record_path(document_.state_dir, document_.component).c_str());
    if (document_.component == Component::bottle) {
      place_ = find_cgroup_place();
      // On v1 each controller is a hierarchy of its own: one that limits nothing is not entered (it costs time, and a
      // real-time process may not enter a cpu group).
      if (!place_.unified && !document_.limits.cpus) place_.cpu.clear();
      directories_ = cgroup_directories(place_, cgroup_name(document_.slug, document_.state_dir, document_.component));
      if (auto made = create_cgroup(place_, cgroup_name(document_.slug, document_.state_dir, document_.component),
                                    document_.limits);
          !made) {
        // What was asked for must hold; the defaults are a courtesy that a half-delegated hierarchy may refuse.
        if (document_.limits.memory || document_.limits.cpus) return fail(std::move(made.error()));
        place_ = CgroupPlace{};
      }
      const std::string path = exec_socket_path(document_.state_dir);
      exec_listener_.reset(guest::listen_unix(path));
      if (!exec_listener_) return fail(error_from_errno("cannot listen on " + path, errno));
    }
    const auto hole = std::ranges::find(document_.disabled_guards, "userns") != document_.disabled_guards.end()
                          ? UserNamespaces::allowed_for_test
                          : UserNamespaces::refused;
    std::vector<UniqueFd> filters;
    if (std::ranges::find(document_.disabled_guards, "seccomp") == document_.disabled_guards.end()) {
      BB_TRY(filters, make_seccomp_programs(hole));
    }
    BB_TRY(Pipe info, create_pipe());
    BB_TRY(Pipe ready, create_pipe());
    BB_TRY(Pipe lifeline, create_pipe());
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    SandboxFds fds{.standard_in = options_.config ? keeper_config_fd : null.get(),
                   .log = log_.get(),
                   .info = info.write.get(),
                   .exec_listener = exec_listener_.get(),
                   .lifeline = lifeline.read.get(),
                   .ready = ready.write.get(),
                   .seccomp = {}};
    for (const UniqueFd& filter : filters) fds.seccomp.push_back(filter.get());
    BB_TRY(bwrap_, start_sandbox(document_, place_, fds));
    lifeline_ = std::move(lifeline.write);
    if (options_.config) ::close(keeper_config_fd);  // else the sidecar would never see the end of its configuration
    info.write.reset();
    ready.write.reset();
    lifeline.read.reset();
    exec_listener_.reset();
    return wait_until_ready(ready.read.get(), info.read.get());
  }

  /// Until the sandbox has ended, and everything in it.
  void run() {
    DiskGuard disk(document_.state_dir + "/backend", document_.measured, document_.disk_bytes, document_.reserve_bytes);
    const bool guards = document_.component == Component::bottle;
    if (guards)
      if (auto told = write_file_fast(reserve_path(document_.state_dir), std::to_string(disk.reserve())); !told)
        (void)told.error();  // a freeze then keeps the default free
    auto next_tick = Clock::now();
    while (bwrap_ > 0) {
      std::array<pollfd, 2> polled{
          {{.fd = signals_.get(), .events = POLLIN, .revents = 0},
           {.fd = options_.lifeline && !ending_ ? keeper_lifeline_fd : -1, .events = POLLIN, .revents = 0}}};
      const int wait = ending_ ? 50 : guards ? tick_ms : -1;
      ::poll(polled.data(), polled.size(), wait);
      if (polled[0].revents != 0) on_signals();
      if (polled[1].revents != 0) {
        // The CLI is gone, perhaps by SIGKILL: nothing may stay behind.
        begin_end("lifeline");
      }
      if (guards && !ending_ && Clock::now() >= next_tick) {
        next_tick = Clock::now() + std::chrono::milliseconds(tick_ms);
        let_go_of_abandoned(document_.state_dir);
        if (const auto reason = disk.check()) kill_bottle("disk", *reason);
        for (const std::string& path : document_.must_stay_absent)
          if (struct stat status{}; ::lstat(path.c_str(), &status) == 0) {
            ::unlink(path.c_str());
            kill_bottle("git", path + " appeared: it would redirect git on the host");
          }
      }
      if (ending_ && Clock::now() > deadline_) kill_all();
    }
  }

  Result<void> watch_signals() {
    sigset_t handled;
    ::sigemptyset(&handled);
    for (const int signal : {SIGTERM, SIGCHLD, SIGINT, SIGHUP}) ::sigaddset(&handled, signal);
    ::sigprocmask(SIG_BLOCK, &handled, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    // Orphans of a killed bwrap come here and not to init, so that "everything has ended" can be known.
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    signals_.reset(::signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_) return fail(error_from_errno("cannot watch signals", errno));
    return {};
  }

  [[nodiscard]] json::object ready_message() const { return {{"ready", true}, {"pid", ::getpid()}, {"init", init_}}; }

 private:
  Result<void> take_lock() {
    const std::string path = lock_path(document_.state_dir, document_.component);
    lock_.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock_) return fail(error_from_errno("cannot open " + path, errno));
    struct flock whole {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    if (::fcntl(lock_.get(), F_SETLK, &whole) != 0) {
      locked_ = false;
      return fail(ErrorKind::already_exists,
                  "the " + std::string(name_of(document_.component)) + " of " + document_.slug + " runs already");
    }
    locked_ = true;
    const std::string text = to_text(json::object{{"slug", document_.slug},
                                                  {"agent", document_.agent},
                                                  {"label", document_.label},
                                                  {"started_at", format_time(now_ms())},
                                                  {"pid", ::getpid()}});
    if (::ftruncate(lock_.get(), 0) != 0 || ::pwrite(lock_.get(), text.data(), text.size(), 0) < 0)
      return fail(error_from_errno("cannot write " + path, errno));
    return {};
  }

  Result<void> wait_until_ready(int ready, int info) {
    const auto deadline = Clock::now() + start_timeout;
    std::string info_text;
    bool is_ready = false;
    while (bwrap_ > 0) {
      std::array<pollfd, 4> polled{
          {{.fd = signals_.get(), .events = POLLIN, .revents = 0},
           {.fd = is_ready ? -1 : ready, .events = POLLIN, .revents = 0},
           {.fd = info, .events = POLLIN, .revents = 0},
           {.fd = options_.lifeline ? keeper_lifeline_fd : -1, .events = POLLIN, .revents = 0}}};
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
      if (left <= 0) {
        kill_all();
        return fail(ErrorKind::timeout, "the sandbox did not start in time", "see " + log_path_);
      }
      ::poll(polled.data(), polled.size(), static_cast<int>(left));
      if (polled[2].revents != 0) {
        std::array<char, 512> bytes{};
        const ssize_t got = ::read(info, bytes.data(), bytes.size());
        if (got > 0) info_text.append(bytes.data(), static_cast<std::size_t>(got));
        if (got == 0) info = -1;
      }
      if (polled[1].revents != 0) {
        char byte = 0;
        if (::read(ready, &byte, 1) == 1)
          is_ready = true;
        else
          ready = -1;  // it ended without a word: SIGCHLD follows
      }
      if (polled[3].revents != 0) {
        kill_all();
        return fail(ErrorKind::cancelled, "the launch was abandoned");
      }
      if (polled[0].revents != 0) on_signals();
      if (is_ready && info < 0 && bwrap_ > 0) {
        if (const auto parsed = parse_json_object(info_text))
          init_ = static_cast<pid_t>(get_int(*parsed, "child-pid", -1));
        // By descriptor: the number may be somebody else's once bwrap has reaped it.
        if (init_ > 0) init_fd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, init_, 0U)));
        if (!init_fd_) return fail(error_from_errno("cannot watch the bottle's first process", errno));
        return {};
      }
    }
    if (ending_) return fail(ErrorKind::cancelled, "the launch was stopped");
    // The log's end is told here: its file goes with the state when the launch is undone.
    return fail(ErrorKind::unavailable, "the sandbox did not start: " + log_tail(),
                "bot-bottle doctor; it says what is missing here, and the command that mends it");
  }

  std::string log_tail() {
    const UniqueFd file(::open(log_path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    std::array<char, 1024> bytes{};
    const ssize_t got = !file ? 0 : ::pread(file.get(), bytes.data(), bytes.size(), log_start_);
    std::string text(bytes.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text.empty() ? "bwrap ended with code " + std::to_string(code_) : text;
  }

  void on_signals() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      if (info.ssi_signo == SIGTERM) begin_end("stopped");
      if (info.ssi_signo != SIGCHLD) continue;
      int status = 0;
      pid_t pid = 0;
      while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == bwrap_) {
          code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
          bwrap_ = -1;
        }
      }
    }
  }

  void begin_end(const char* reason) {
    if (ending_) return;
    ending_ = true;
    reason_ = reason;
    if (signal_init(SIGTERM))
      deadline_ = Clock::now() + end_grace;  // bottle-init ends its children first, the sidecar flushes its log
    else
      kill_all();
  }

  void kill_bottle(const char* reason, const std::string& text) {
    const std::string line = to_text(json::object{{"time", format_time(now_ms())},
                                                  {"kind", "agent"},
                                                  {"level", "block"},
                                                  {"event", "bottle_ended"},
                                                  {"reason", text}}) +
                             "\n";
    if (const auto events = open_log(document_.state_dir + "/logs/events.jsonl"); events)
      if (auto written = write_all(events->get(), line); !written) (void)written.error();
    ending_ = true;
    reason_ = reason;
    detail_ = text;
    deadline_ = Clock::now() + end_grace;
    kill_all();
  }

  bool signal_init(int number) {
    return init_fd_ && ::syscall(SYS_pidfd_send_signal, init_fd_.get(), number, nullptr, 0U) == 0;
  }

  void kill_all() {
    signal_init(SIGKILL);
    if (bwrap_ > 0) ::kill(bwrap_, SIGKILL);
  }

  void clean_up() {
    if (!locked_) return;  // another keeper's bottle: not ours to clean
    kill_all();
    lifeline_.reset();
    while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
    }
    if (document_.component == Component::bottle) ::unlink(exec_socket_path(document_.state_dir).c_str());
    if (auto removed = remove_cgroup(directories_); !removed && log_) {
      const std::string line = "bottle-keeper: " + removed.error().message + "\n";
      if (auto written = write_all(log_.get(), line); !written) (void)written.error();
    }
    if (options_.uid_lock && document_.uid) release_uid(*document_.uid, keeper_uid_lock_fd);
    const json::object record{{"reason", reason_.empty() ? "ended" : reason_},
                              {"detail", detail_},
                              {"code", code_},
                              {"at", format_time(now_ms())}};
    if (auto written = write_file_fast(exit_record_path(document_.state_dir, document_.component), to_text(record));
        !written)
      (void)written.error();  // the state may have been removed meanwhile: nobody is left to ask
  }

  KeeperDocument document_;
  KeeperOptions options_;
  UniqueFd lock_;
  bool locked_ = false;
  UniqueFd log_;
  std::string log_path_;
  off_t log_start_ = 0;
  UniqueFd exec_listener_;
  UniqueFd lifeline_;
  UniqueFd signals_;
  CgroupPlace place_;
  std::vector<std::string> directories_;
  pid_t bwrap_ = -1;
  pid_t init_ = -1;
  UniqueFd init_fd_;
  int code_ = 0;
  bool ending_ = false;
  std::string reason_;
  std::string detail_;
  Clock::time_point deadline_;
};

void say(const json::object& message) {
  const std::string line = to_text(message) + "\n";
  if (auto written = write_all(keeper_status_fd, line); !written)
    (void)written.error();  // the plugin is gone: the lifeline tells
  ::close(keeper_status_fd);
}

int say_error(const Error& error) {
  say({{"error", {{"kind", name_of(error.kind)}, {"message", error.message}, {"hint", error.hint}}}});
  return 1;
}

}  // namespace

int run_keeper(const KeeperOptions& options) {
  for (const int fd : {keeper_document_fd, keeper_status_fd, keeper_lifeline_fd, keeper_config_fd, keeper_uid_lock_fd})
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  const auto text = read_all(keeper_document_fd, max_document_bytes);
  ::close(keeper_document_fd);
  if (!text) return say_error(text.error());
  auto document = parse_keeper_document(*text);
  if (!document) return say_error(document.error());
  ::umask(077);
  if (::chdir("/") != 0) return say_error(error_from_errno("cannot change to /", errno));
  Keeper keeper(std::move(*document), options);
  if (auto watching = keeper.watch_signals(); !watching) return say_error(watching.error());
  if (auto started = keeper.start(); !started) return say_error(started.error());
  say(keeper.ready_message());
  keeper.run();
  return 0;
}

}  // namespace bot_bottle::backend_local
