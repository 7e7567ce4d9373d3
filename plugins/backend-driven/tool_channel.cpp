#include "plugins/backend-driven/tool_channel.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>

#include "core/base/error.hpp"
#include "core/base/process.hpp"

namespace bot_bottle::driven {
namespace {

using Clock = std::chrono::steady_clock;
/// How long a tool may take to end by itself once its input has, before it is ended. What ran in the bottle has ended
/// by then, or is to end.
constexpr std::chrono::milliseconds patience{1'000};
constexpr int look_ms = 2;
/// How long after the end of its output a tool may take to say what went wrong.
constexpr std::chrono::milliseconds last_words{1'000};

/// Looks only: as long as it is not reaped, its number and its group's are its own.
bool ends_within(pid_t pid, std::chrono::milliseconds time) {
  const auto deadline = Clock::now() + time;
  while (true) {
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid)
      return true;
    if (Clock::now() >= deadline) return false;
    ::poll(nullptr, 0, look_ms);
  }
}

}  // namespace

ToolChannel::ToolChannel(const Tool& tool, const std::vector<std::string>& arguments) {
  PipeEnds in = make_pipe();
  PipeEnds out = make_pipe();
  PipeEnds err = make_pipe();
  ProcessRequest request;
  request.argv = tool.argv(arguments);
  request.env = tool.environment();
  request.cwd = "/";
  request.session = StartSession::yes;  // no signal of the operator's terminal, and one group to end
  request.fds = {{in.read.get(), 0}, {out.write.get(), 1}, {err.write.get(), 2}};
  auto started = spawn_process(request);
  if (!started)
    throw sdk::Error(sdk::Status::unavailable, "cannot run " + tool.program() + ": " + started.error().message,
                     "bot-bottle doctor");
  pid_ = *started;
  in_ = std::move(in.write);
  out_ = std::move(out.read);
  err_ = std::move(err.read);
  for (const int fd : {in_.get(), out_.get(), err_.get()}) ::fcntl(fd, F_SETFL, O_NONBLOCK);
}

ToolChannel::~ToolChannel() {
  in_.reset();
  out_.reset();
  err_.reset();
  if (pid_ <= 0) return;
  if (!ends_within(pid_, patience)) {
    ::kill(-pid_, SIGTERM);
    static_cast<void>(ends_within(pid_, patience));
  }
  ::kill(-pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

ssize_t ToolChannel::write_some(std::string_view bytes) {
  return write_to_child(in_.get(), bytes);
}

void ToolChannel::on_end_fd() {
  std::array<char, 4096> bytes{};
  const ssize_t got = ::read(err_.get(), bytes.data(), bytes.size());
  if (got > 0) return note_complaint({bytes.data(), static_cast<std::size_t>(got)});
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  err_.reset();
}

bool ToolChannel::receive() {
  std::array<char, 65536> bytes{};
  const ssize_t got = ::read(out_.get(), bytes.data(), bytes.size());
  if (got > 0) {
    take({bytes.data(), static_cast<std::size_t>(got)});
    return true;
  }
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  // Why it ended is on the other stream, perhaps a moment later.
  const auto deadline = Clock::now() + last_words;
  while (err_ && Clock::now() < deadline) {
    pollfd entry{.fd = err_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&entry, 1, look_ms) > 0) on_end_fd();
  }
  return false;
}

}  // namespace bot_bottle::driven
