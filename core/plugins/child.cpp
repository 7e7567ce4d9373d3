#include "core/plugins/child.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

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

/// Takes whole lines off `buffer` into `report`; `running` is the check that has begun and not ended, `limit` what it
/// may take.
void take_lines(std::string& buffer, ChildReport& report, std::string& running, std::chrono::milliseconds& limit) {
  for (std::size_t end = buffer.find('\n'); end != std::string::npos; end = buffer.find('\n')) {
    const auto line = parse_json_object(std::string_view(buffer).substr(0, end));
    buffer.erase(0, end + 1);
    if (!line) continue;
    if (line->contains("begin")) {
      running = get_string(*line, "begin");
      limit = std::chrono::milliseconds(get_int(*line, "limit_ms", 0));
    } else if (line->contains("check")) {
      report.lines.push_back(
          {get_string(*line, "check"), get_bool(*line, "passed", false), get_string(*line, "detail")});
      running.clear();
    } else {
      report.sent.push_back(*line);
    }
  }
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

void Checker::note(const std::string& name, const std::string& detail) {
  send({{"check", name}, {"passed", true}, {"detail", detail}});
}

ChildReport run_in_child(const std::function<void(Checker&)>& body, std::chrono::milliseconds limit, int cancel_fd) {
  int ends[2] = {-1, -1};
  if (::pipe(ends) != 0) throw Failure(error_from_errno("cannot make a pipe", errno));
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) throw Failure(error_from_errno("cannot start a child for the checks", errno));
  if (pid == 0) {
    reader.reset();
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGABRT, SIGSEGV}) ::signal(number, SIG_DFL);
    int code = 0;
    try {
      Checker checker(writer.get());
      body(checker);
    } catch (...) {  // said by the exit code: nobody up the stack belongs to this process
      code = 3;
    }
    ::_exit(code);
  }
  writer.reset();

  ChildReport report;
  std::string buffer;
  std::string running;
  std::string stopped;
  const auto deadline = std::chrono::steady_clock::now() + limit;
  std::chrono::milliseconds check_limit = limit;
  auto begun = std::chrono::steady_clock::now();  // what is running
  std::size_t total = 0;
  for (;;) {
    const auto now = std::chrono::steady_clock::now();
    const bool check_first = !running.empty() && begun + check_limit < deadline;
    const auto until = check_first ? begun + check_limit : deadline;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now).count();
    if (left <= 0)
      stopped = check_first ? "did not return within " + std::to_string(check_limit.count() / 1000) + " s"
                            : "did not end in " + std::to_string(limit.count() / 1000) + " s";
    if (!stopped.empty()) break;
    std::array<pollfd, 2> entries{{{reader.get(), POLLIN, 0}, {cancel_fd, POLLIN, 0}}};
    if (::poll(entries.data(), entries.size(), static_cast<int>(std::min<std::int64_t>(left, 60'000))) <= 0) continue;
    if (entries[1].revents != 0) {
      stopped = "was cancelled";
      break;
    }
    std::array<char, 65536> bytes{};
    const ssize_t got = ::read(reader.get(), bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    total += static_cast<std::size_t>(got);
    if (total > max_report_bytes) {
      stopped = "said too much";
      break;
    }
    buffer.append(bytes.data(), static_cast<std::size_t>(got));
    const std::string before = running;
    take_lines(buffer, report, running, check_limit);
    if (running != before) begun = std::chrono::steady_clock::now();
  }
  if (!stopped.empty()) ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (stopped.empty() && WIFSIGNALED(status)) stopped = "died of " + signal_name(WTERMSIG(status));
  if (stopped.empty() && WEXITSTATUS(status) != 0) stopped = "ended with status " + std::to_string(WEXITSTATUS(status));
  if (!stopped.empty())
    report.lines.push_back(
        {running.empty() ? "the plugin's process" : running, false, "the plugin's process " + stopped});
  return report;
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
    if (!line.passed)
      throw Failure(make_error(ErrorKind::internal, (directory / library).string() + ": " + line.detail));
  }
  if (report.sent.empty())
    throw Failure(make_error(ErrorKind::internal, (directory / library).string() + " said nothing"));
  return {get_string(report.sent.front(), "name"), get_string(report.sent.front(), "version"),
          get_strings(report.sent.front(), "provides")};
}

}  // namespace bot_bottle::plugins
