#include "core/screen/jobs.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/base/process.hpp"

namespace bot_bottle::screen {
namespace {
constexpr std::size_t max_output = std::size_t{64} << 10;
}

Result<void> Jobs::start(const std::vector<std::string>& argv, Done done) {
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC) != 0) return fail(error_from_errno("cannot make a pipe", errno));
  UniqueFd read(fds[0]);
  const UniqueFd write(fds[1]);
  ::fcntl(read.get(), F_SETFL, O_NONBLOCK);
  ProcessRequest request;
  request.argv = argv;
  request.fds = {{write.get(), STDOUT_FILENO}, {write.get(), STDERR_FILENO}};
  request.session = StartSession::yes;  // the end of our terminal is not its end
  BB_TRY(const pid_t pid, spawn_process(request));
  jobs_.push_back({pid, std::move(read), {}, std::move(done)});
  return {};
}

void Jobs::add_to(std::vector<pollfd>& polled) const {
  for (const Job& job : jobs_) polled.push_back({.fd = job.output.get(), .events = POLLIN, .revents = 0});
}

void Jobs::work(const pollfd* polled, std::size_t count) {
  std::vector<Job> ended;
  for (std::size_t i = 0; i < count; ++i) {
    if (polled[i].revents == 0) continue;
    Job& job = jobs_[i];
    std::array<char, 8192> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): read(2) fills it
    const ssize_t got = ::read(job.output.get(), buffer.data(), buffer.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got > 0) {
      if (job.text.size() < max_output) job.text.append(buffer.data(), static_cast<std::size_t>(got));
      continue;
    }
    job.output.reset();
    ended.push_back(std::move(job));
  }
  std::erase_if(jobs_, [](const Job& job) { return !job.output; });
  // `done` may start another one.
  for (const Job& job : ended) {
    const auto code = wait_for_exit(job.pid);
    job.done(code ? *code : 1, job.text);
  }
}

Result<int> run_in_front(const std::vector<std::string>& argv) {
  ProcessRequest request;
  request.argv = argv;
  request.fds = {{STDIN_FILENO, STDIN_FILENO}, {STDOUT_FILENO, STDOUT_FILENO}, {STDERR_FILENO, STDERR_FILENO}};
  BB_TRY(const pid_t pid, spawn_process(request));
  return wait_for_exit(pid);
}

}  // namespace bot_bottle::screen
