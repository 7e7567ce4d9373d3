#include "core/launch/attach.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "core/base/file.hpp"
#include "core/base/process.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/tui/terminal.hpp"

extern char** environ;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables,readability-redundant-declaration)

namespace bot_bottle::launch {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kill_grace = std::chrono::seconds(5);
/// After the program ended: for what it had written already. A grandchild that keeps the pipe open is not waited for.
constexpr auto drain_time = std::chrono::milliseconds(200);
/// Where there is no pidfd (macOS, kernels before 5.3).
constexpr int poll_without_pidfd_ms = 10;

std::map<std::string, std::string> attach_environment(const AttachRequest& request) {
  std::map<std::string, std::string> env;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view line = *entry;
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string name(line.substr(0, equals));
    if (std::ranges::find(request.hidden_names, name) == request.hidden_names.end())
      env[name] = line.substr(equals + 1);
  }
  if (const json::object* own = find_object(request.document, "env"))
    for (const auto& member : *own)
      if (member.value().is_string()) env[std::string(member.key())] = std::string(member.value().as_string());
  return env;
}

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};
Pipe create_pipe() {
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC) != 0) throw Failure(error_from_errno("cannot make a pipe", errno));
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

/// One of the agent's two outputs on its way out.
class Output {
 public:
  Output(UniqueFd from, int to, std::string* captured) : from_(std::move(from)), to_(to), captured_(captured) {
    is_terminal_ = captured == nullptr && tui::is_terminal(to);
    ::fcntl(from_.get(), F_SETFL, O_NONBLOCK);
  }
  [[nodiscard]] int fd() const { return from_.get(); }
  [[nodiscard]] bool open() const { return static_cast<bool>(from_); }

  void pump(const AttachRequest& request, std::size_t& logged, AttachResult& result) {
    std::array<char, 65536> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): read(2) fills it
    const ssize_t got = ::read(from_.get(), buffer.data(), buffer.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
      finish();
      return;
    }
    const std::string_view piece(buffer.data(), static_cast<std::size_t>(got));
    if (request.log_fd >= 0 && logged < request.max_log) {
      const std::string_view part = piece.substr(0, request.max_log - logged);
      logged += part.size();
      [[maybe_unused]] const auto written = write_all(request.log_fd, part);  // a full disk must not end the agent
    }
    if (captured_ != nullptr) {
      const std::size_t room = request.max_capture - std::min(request.max_capture, captured_->size());
      captured_->append(piece.substr(0, room));
      if (piece.size() > room) result.truncated = true;
    } else {
      // Who reads us went away: the agent gets to know by SIGPIPE, as it would without us.
      if (!write_all(to_, is_terminal_ ? filter_.feed(piece) : std::string(piece))) from_.reset();
    }
  }
  void finish() {
    if (!from_) return;
    if (is_terminal_) {
      [[maybe_unused]] const auto written = write_all(to_, filter_.finish());
    }
    from_.reset();
  }

 private:
  UniqueFd from_;
  int to_;
  std::string* captured_;
  bool is_terminal_ = false;
  TerminalFilter filter_;
};

}  // namespace

std::string TerminalFilter::feed(std::string_view piece) {
  std::string text = std::move(kept_);
  kept_.clear();
  text += piece;
  // A character of several octets whose end is still to come.
  std::size_t tail = 0;
  while (tail < 3 && tail < text.size()) {
    const auto octet = static_cast<unsigned char>(text[text.size() - 1 - tail]);
    if (octet >= 0xC0) {
      const std::size_t length = octet >= 0xF0 ? 4 : octet >= 0xE0 ? 3 : 2;
      if (length > tail + 1) {
        kept_ = text.substr(text.size() - 1 - tail);
        text.resize(text.size() - 1 - tail);
      }
      break;
    }
    if (octet < 0x80) break;
    ++tail;
  }
  // A return before a newline is how many programs end their lines; alone it would overwrite one.
  std::string plain;
  plain.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i)
    if (!(text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n')) plain += text[i];
  return escape_untrusted_lines(plain, plain.size() * 8 + 16);
}

std::string TerminalFilter::finish() {
  const std::string rest = std::move(kept_);
  kept_.clear();
  return escape_untrusted_lines(rest);
}

AttachResult attach(const AttachRequest& request, const Signals& signals) {
  ProcessRequest process;
  process.argv = get_strings(request.document, "argv");
  if (process.argv.empty())
    throw Failure(make_error(ErrorKind::internal, "the backend gave no program to enter the bottle with"));
  process.env = attach_environment(request);

  Pipe in;
  Pipe out;
  Pipe err;
  if (request.input == AttachRequest::Input::inherit) process.fds.push_back({STDIN_FILENO, STDIN_FILENO});
  if (request.input == AttachRequest::Input::text) {
    in = create_pipe();
    process.fds.push_back({in.read.get(), STDIN_FILENO});
  }
  if (request.standard == Standard::inherit) {
    process.fds.push_back({STDOUT_FILENO, STDOUT_FILENO});
    process.fds.push_back({STDERR_FILENO, STDERR_FILENO});
  } else {
    out = create_pipe();
    err = create_pipe();
    process.fds.push_back({out.write.get(), STDOUT_FILENO});
    process.fds.push_back({err.write.get(), STDERR_FILENO});
  }
  const pid_t pid = or_throw<pid_t>(spawn_process(process).map_error(bot_bottle::in("entering the bottle")));
  in.read.reset();
  out.write.reset();
  err.write.reset();
  if (in.write) ::fcntl(in.write.get(), F_SETFL, O_NONBLOCK);

  AttachResult result;
  std::vector<Output> outputs;
  if (out.read) {
    outputs.emplace_back(std::move(out.read), STDOUT_FILENO,
                         request.standard == Standard::capture ? &result.captured : nullptr);
    outputs.emplace_back(std::move(err.read), STDERR_FILENO, nullptr);
  }
  std::string_view to_write = request.input_text;
  if (to_write.empty()) in.write.reset();
  std::size_t logged = 0;
#ifdef SYS_pidfd_open
  const UniqueFd child(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
#else
  const UniqueFd child;
#endif

  enum class State : std::uint8_t { running, stopping, ended } state = State::running;
  constexpr auto never = Clock::time_point::max();
  Clock::time_point deadline = request.timeout ? Clock::now() + *request.timeout : never;
  int status = 0;
  const auto any_open = [&outputs] {
    return std::ranges::any_of(outputs, [](const Output& output) { return output.open(); });
  };
  while (state != State::ended || any_open()) {
    int wait_ms = -1;
    if (deadline != never) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
      wait_ms = static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
    }
    if (!child && state != State::ended)
      wait_ms = wait_ms < 0 ? poll_without_pidfd_ms : std::min(wait_ms, poll_without_pidfd_ms);
    std::array<pollfd, 5> polled{
        {{.fd = state == State::ended ? -1 : child.get(), .events = POLLIN, .revents = 0},
         {.fd = state == State::running ? signals.cancel_fd() : -1, .events = POLLIN, .revents = 0},
         {.fd = in.write.get(), .events = POLLOUT, .revents = 0},
         {.fd = outputs.empty() ? -1 : outputs[0].fd(), .events = POLLIN, .revents = 0},
         {.fd = outputs.empty() ? -1 : outputs[1].fd(), .events = POLLIN, .revents = 0}}};
    const int ready = ::poll(polled.data(), polled.size(), wait_ms);
    if (ready < 0 && errno != EINTR) throw Failure(error_from_errno("cannot poll", errno));
    for (std::size_t i = 0; i < outputs.size(); ++i)
      if (ready > 0 && polled[3 + i].revents != 0) outputs[i].pump(request, logged, result);
    if (ready > 0 && polled[2].revents != 0) {
      const ssize_t written = ::write(in.write.get(), to_write.data(), to_write.size());
      if (written > 0) to_write.remove_prefix(static_cast<std::size_t>(written));
      if (to_write.empty() || (written < 0 && errno != EAGAIN && errno != EINTR)) in.write.reset();
    }
    if (state != State::ended && ::waitpid(pid, &status, WNOHANG) == pid) {
      state = State::ended;
      deadline = Clock::now() + drain_time;
      continue;
    }
    const bool overdue = Clock::now() >= deadline;
    if (state == State::ended && overdue) break;
    if (state == State::running && (overdue || signals.received() != 0)) {
      result.timed_out = overdue;
      result.cancelled = !overdue;
      state = State::stopping;
      ::kill(pid, SIGTERM);
      deadline = Clock::now() + kill_grace;
    } else if (state == State::stopping && overdue) {
      ::kill(pid, SIGKILL);
      deadline = never;
    }
  }
  for (Output& output : outputs) output.finish();
  result.crashed = WIFSIGNALED(status);
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace bot_bottle::launch
