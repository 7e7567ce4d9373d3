// See suite.hpp.
#include "sidecar/attack/suite.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/base/text.hpp"
#include "core/base/unique_fd.hpp"
#include "sidecar/attack/http.hpp"
#include "sidecar/attack/probe.hpp"

namespace bot_bottle::attack {
namespace {

bool is_named(const std::string& id, const std::vector<std::string>& ids) {
  return std::any_of(ids.begin(), ids.end(),
                     [&](const std::string& prefix) { return id == prefix || id.starts_with(prefix + "."); });
}

int severity(Verdict verdict) {
  return verdict == Verdict::escaped ? 2 : verdict == Verdict::error ? 1 : 0;
}

Outcome from_wire(const std::string& text) {
  if (text.empty()) return failed("the attempt's process said nothing");
  return {text[0] == 'b' ? Verdict::blocked : text[0] == 'e' ? Verdict::escaped : Verdict::error, text.substr(1)};
}

}  // namespace

std::string_view name_of(Verdict verdict) {
  return verdict == Verdict::blocked ? "blocked" : verdict == Verdict::escaped ? "escaped" : "error";
}

Outcome worse(Outcome a, Outcome b) {
  return severity(b.verdict) > severity(a.verdict) || (severity(b.verdict) == severity(a.verdict) && a.detail.empty())
             ? b
             : a;
}

bool is_outside() {
  return read_start("/proc/1/comm", 64) != "bottle-init\n";
}

std::vector<Attempt> select_attempts(const Context& context, const SuiteOptions& options) {
  std::vector<Attempt> all;
  add_reach_names(all, context);
  add_reach_protocol(all, context);
  add_reach_direct(all, context);
  add_reach_sockets(all, context);
  add_dns(all, context);
  add_exfiltrate(all, context);
  add_exfiltrate_body(all, context);
  add_planted(all, context);
  add_isolate_files(all, context);
  add_isolate_processes(all, context);
  add_isolate_kernel(all, context);
  add_secrets(all, context);
  if (options.resources) add_resources(all, context);
  std::erase_if(all, [&](const Attempt& attempt) {
    return (!options.only.empty() && !is_named(attempt.id, options.only)) || is_named(attempt.id, options.skip);
  });
  return all;
}

Outcome run_attempt(const Attempt& attempt, const Context& context) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return failed("pipe: " + errno_name(errno));
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return failed("fork: " + errno_name(errno));
  if (child == 0) {
    ::setpgid(0, 0);
    ::signal(SIGPIPE, SIG_IGN);
    const Outcome outcome = attempt.run(context);
    const std::string text = (outcome.verdict == Verdict::blocked   ? "b"
                              : outcome.verdict == Verdict::escaped ? "e"
                                                                    : "x") +
                             outcome.detail.substr(0, 2000);
    const ssize_t written = ::write(writer.get(), text.data(), text.size());
    ::_exit(written > 0 ? 0 : 1);
  }
  ::setpgid(child, child);
  writer.reset();
  std::string text;
  std::array<char, 4096> buffer{};
  const auto deadline = std::chrono::steady_clock::now() + attempt.limit;
  bool late = false;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    pollfd wait{reader.get(), POLLIN, 0};
    const int ready = left > 0 ? ::poll(&wait, 1, static_cast<int>(left)) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      late = true;
      break;
    }
    const ssize_t size = ::read(reader.get(), buffer.data(), buffer.size());
    if (size <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
  ::kill(-child, SIGKILL);  // also what the attempt itself has started
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!text.empty()) return from_wire(text);
  if (late) return failed("not over after " + std::to_string(attempt.limit.count()) + " s");
  // A filter may end the process instead of refusing the call.
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) return blocked("killed by the filter (SIGSYS)");
  if (WIFSIGNALED(status)) return failed("ended by signal " + std::to_string(WTERMSIG(status)));
  return from_wire(text);
}

}  // namespace bot_bottle::attack
