#include "core/plugins/child.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "core/base/file.hpp"
#include "core/base/unique_fd.hpp"
#include "core/plugins/loaded.hpp"

namespace bot_bottle::plugins {
namespace {

constexpr std::size_t max_report_bytes = std::size_t{16} << 20;

std::string full_text(const Error& error) {
  std::string text = error.message;
  if (!error.details.empty()) text += "\n" + error.details;
  return text;
}

/// "SIGABRT": what an author greps for. (sigabbrev_np is younger than macOS.)
std::string signal_name(int number) {
  switch (number) {
    case SIGABRT:
      return "SIGABRT";
    case SIGBUS:
      return "SIGBUS";
    case SIGFPE:
      return "SIGFPE";
    case SIGILL:
      return "SIGILL";
    case SIGKILL:
      return "SIGKILL";
    case SIGPIPE:
      return "SIGPIPE";
    case SIGSEGV:
      return "SIGSEGV";
    case SIGSYS:
      return "SIGSYS";
    case SIGTERM:
      return "SIGTERM";
    case SIGTRAP:
      return "SIGTRAP";
    default:
      return "signal " + std::to_string(number);
  }
}

/// In the child, before anything of the plugin: what it may not disturb of ours.
void leave_the_terminal() {
  // A group of its own, so that what the plugin started ends with it; no core file of a crash that is expected.
  ::setpgid(0, 0);
#if defined(__linux__)
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  // Standard output is the answer's (--json); what a plugin prints goes beside it.
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (null) ::dup2(null.get(), STDIN_FILENO);
  ::dup2(STDERR_FILENO, STDOUT_FILENO);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGABRT, SIGSEGV}) ::signal(number, SIG_DFL);
}

/// Whether the child has ended; it stays to be reaped.
bool has_ended(pid_t pid) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

/// Ends the child with all that is still in its group, and reaps it. Before that, so that its id is nobody else's.
int end_child(pid_t pid) {
  ::kill(-pid, SIGKILL);
  ::kill(pid, SIGKILL);  // it may have left its group
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

/// The report so far, and what the next read of it has to know.
struct Hearing {
  ChildReport report;
  std::string buffer;
  std::string running;  // the check that has begun and not ended
  std::chrono::milliseconds limit{};
  std::chrono::steady_clock::time_point begun;
  bool done = false;
};

/// Takes whole lines off the buffer.
void take_lines(Hearing& hearing) {
  std::string& buffer = hearing.buffer;
  for (std::size_t end = buffer.find('\n'); end != std::string::npos; end = buffer.find('\n')) {
    const auto line = parse_json_object(std::string_view(buffer).substr(0, end));
    buffer.erase(0, end + 1);
    if (!line) continue;
    if (line->contains("begin")) {
      hearing.running = get_string(*line, "begin");
      hearing.limit = std::chrono::milliseconds(get_int(*line, "limit_ms", 0));
      hearing.begun = std::chrono::steady_clock::now();
    } else if (line->contains("check")) {
      const CheckOutcome outcome = get_bool(*line, "not_run", false)  ? CheckOutcome::not_run
                                   : get_bool(*line, "passed", false) ? CheckOutcome::passed
                                                                      : CheckOutcome::failed;
      hearing.report.lines.push_back({get_string(*line, "check"), outcome, get_string(*line, "detail")});
      hearing.running.clear();
    } else if (line->contains("done")) {
      hearing.done = true;
    } else {
      hearing.report.sent.push_back(*line);
    }
  }
}

/// "" when the child has said all that it had to say, or what has to end it. Its end is not waited for.
std::string hear(Hearing& hearing, pid_t pid, int reader, std::chrono::milliseconds limit, int cancel_fd) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  const auto seconds = [](std::chrono::milliseconds time) { return std::to_string(time.count() / 1000) + " s"; };
  std::size_t total = 0;
  for (bool ended = false; !hearing.done;) {
    const auto now = std::chrono::steady_clock::now();
    const bool check_first = !hearing.running.empty() && hearing.begun + hearing.limit < deadline;
    const auto until = check_first ? hearing.begun + hearing.limit : deadline;
    if (now >= until)
      return check_first ? "did not return within " + seconds(hearing.limit) : "did not end in " + seconds(limit);
    // What the plugin started may hold the pipe open after the child's end: so that is looked for, too.
    constexpr std::chrono::milliseconds look_again{250};
    const auto left = std::min(look_again, std::chrono::ceil<std::chrono::milliseconds>(until - now));
    std::array<pollfd, 2> entries{{{reader, POLLIN, 0}, {cancel_fd, POLLIN, 0}}};
    const int ready = ::poll(entries.data(), entries.size(), ended ? 0 : static_cast<int>(left.count()));
    if (ready < 0) continue;
    if (entries[1].revents != 0) return "was cancelled";
    if (ready == 0) {
      if (ended) return {};
      ended = has_ended(pid);  // and once more, for what it wrote before
      continue;
    }
    std::array<char, 65536> bytes{};
    const ssize_t got = ::read(reader, bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      // At its end, usually; a plugin that closes every descriptor it finds leaves us here while it runs.
      const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(2);
      while (!has_ended(pid)) {
        if (std::chrono::steady_clock::now() > patience) return "closed descriptors that are not its own";
        ::poll(nullptr, 0, 5);
      }
      return {};
    }
    total += static_cast<std::size_t>(got);
    if (total > max_report_bytes) return "said too much";
    hearing.buffer.append(bytes.data(), static_cast<std::size_t>(got));
    take_lines(hearing);
  }
  return {};
}

}  // namespace

void Checker::send(const json::object& line) const {
  if (!write_all(fd_, to_text(line) + "\n")) ::_exit(3);
}

bool Checker::check(const std::string& name, const std::function<std::string()>& body,
                    std::chrono::milliseconds limit) {
  send({{"begin", name}, {"limit_ms", limit.count()}});
  std::string detail;
  try {
    detail = body();
  } catch (const Failure& failure) {
    detail = full_text(failure.error());
  } catch (const std::exception& error) {
    detail = error.what();
  }
  all_passed_ = all_passed_ && detail.empty();
  send({{"check", name}, {"passed", detail.empty()}, {"detail", detail}});
  return detail.empty();
}

void Checker::not_run(const std::string& name, const std::string& why) {
  send({{"check", name}, {"not_run", true}, {"detail", why}});
}

ChildReport run_in_child(const std::function<void(Checker&)>& body, std::chrono::milliseconds limit, int cancel_fd) {
  int ends[2] = {-1, -1};
  if (::pipe(ends) != 0) throw Failure(error_from_errno("cannot make a pipe", errno));
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  for (const int end : ends) ::fcntl(end, F_SETFD, FD_CLOEXEC);  // not for what a plugin starts
  const pid_t pid = ::fork();
  if (pid < 0) throw Failure(error_from_errno("cannot start a child for the checks", errno));
  if (pid == 0) {
    reader.reset();
    leave_the_terminal();
    int code = 0;
    try {
      Checker checker(writer.get());
      body(checker);
      // Said, not only left with 0: a plugin that calls exit(3) in the middle of a check would leave with 0, too.
      checker.send({{"done", true}});
    } catch (...) {  // said by the exit code: nobody up the stack belongs to this process
      code = 3;
    }
    ::_exit(code);
  }
  ::setpgid(pid, pid);  // whoever is first
  writer.reset();

  Hearing hearing;
  std::string stopped = hear(hearing, pid, reader.get(), limit, cancel_fd);
  const int status = end_child(pid);
  if (stopped.empty() && !hearing.done)
    stopped = WIFSIGNALED(status)
                  ? "died of " + signal_name(WTERMSIG(status))
                  : "ended with status " + std::to_string(WEXITSTATUS(status)) + " before its checks had";
  if (!stopped.empty())
    hearing.report.lines.push_back({hearing.running.empty() ? "the plugin's process" : hearing.running,
                                    CheckOutcome::failed, "the plugin's process " + stopped});
  return std::move(hearing.report);
}

InspectedLibrary inspect_library(const std::filesystem::path& directory, const std::string& library,
                                 const HostOptions& options) {
  constexpr std::chrono::seconds limit{20};
  const ChildReport report = run_in_child(
      [&](Checker& checker) {
        checker.check("loads", [&]() -> std::string {
          HostOptions own = options;
          Description nobody;
          nobody.name = library;
          nobody.directory = directory;
          const LoadedPlugin& plugin = load_plugin(nobody, open_library(directory, library), own);
          checker.send({{"name", plugin.name}, {"version", plugin.version}, {"provides", to_array(plugin.offered())}});
          return plugin.offered().empty() ? "offers no interface that bot-bottle knows" : "";
        });
      },
      limit, options.cancel_fd);
  for (const CheckLine& line : report.lines) {
    if (line.outcome != CheckOutcome::passed)
      throw Failure(make_error(ErrorKind::internal, (directory / library).string() + ": " + line.detail));
  }
  if (report.sent.empty())
    throw Failure(make_error(ErrorKind::internal, (directory / library).string() + " said nothing"));
  return {get_string(report.sent.front(), "name"), get_string(report.sent.front(), "version"),
          get_strings(report.sent.front(), "provides")};
}

}  // namespace bot_bottle::plugins
