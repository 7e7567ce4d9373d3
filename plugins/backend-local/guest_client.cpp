#include "plugins/backend-local/guest_client.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include "core/base/unique_fd.hpp"
#include "sidecar/guest/protocol.hpp"

namespace bot_bottle::backend_local {
namespace {

using Clock = std::chrono::steady_clock;

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Result<Pipe> create_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(error_from_errno("cannot make a pipe", errno));
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

/// One read into `into`, kept up to `limit`; the descriptor is closed at the end.
void collect(UniqueFd& from, std::string& into, std::size_t limit, bool& truncated) {
  std::array<char, 65536> bytes{};
  const ssize_t got = ::read(from.get(), bytes.data(), bytes.size());
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    from.reset();
    return;
  }
  const std::size_t room = limit - std::min(limit, into.size());
  if (static_cast<std::size_t>(got) > room) truncated = true;
  into.append(bytes.data(), std::min(room, static_cast<std::size_t>(got)));
}

/// What is there now: descendants may hold the pipe open for ever, the program itself has ended.
void drain(UniqueFd& from, std::string& into, std::size_t limit, bool& truncated) {
  const auto deadline = Clock::now() + std::chrono::seconds(2);  // a descendant that floods is not waited for
  while (from && Clock::now() < deadline) {
    pollfd entry{.fd = from.get(), .events = POLLIN, .revents = 0};
    if (::poll(&entry, 1, 0) <= 0) return;
    collect(from, into, limit, truncated);
  }
}

Error start_error(const std::string& program, std::uint32_t number, std::string_view text) {
  const std::string message = program + ": " + std::string(text);
  if (number == ENOENT || number == ENOTDIR)
    return make_error(ErrorKind::not_found, message, "is it installed in the bottle?");
  if (number == EACCES || number == ENOEXEC || number == EPERM)
    return make_error(ErrorKind::permission_denied, message);
  if (number == EBUSY) return make_error(ErrorKind::already_exists, message);
  return make_error(ErrorKind::failed_precondition, message);
}

/// Of a connection that took no request: it may have been told why.
Error refusal_of(int socket, const std::string& program) {
  guest::FrameReader reader;
  guest::Frame frame;
  std::uint32_t number = 0;
  reader.receive(socket);
  if (reader.next(frame) == guest::FrameReader::Got::frame && frame.type == guest::FrameType::failed &&
      guest::decode_u32(frame.payload, number))
    return start_error(program, number, std::string_view(frame.payload).substr(4));
  return make_error(ErrorKind::failed_precondition, "the bottle has ended");
}

}  // namespace

Result<GuestResult> run_in_guest(const std::string& socket_path, const GuestRun& run) {
  const UniqueFd socket(guest::connect_unix(socket_path));
  if (!socket) return fail(ErrorKind::failed_precondition, "the bottle is not running");
  guest::Request request;
  request.argv = run.argv;
  request.env = run.env;
  request.cwd = run.cwd;
  request.session = run.session;
  request.detached = run.detached;
  request.tty = run.tty;
  std::string payload;
  if (!guest::encode(request, payload))
    return fail(ErrorKind::invalid_argument, "the request is too long or has a NUL byte");
  const std::string name = run.argv.empty() ? run.session : run.argv[0];

  UniqueFd in;
  UniqueFd out;
  UniqueFd err;
  bool sent = false;
  if (run.detached) {
    sent = guest::send_frame(socket.get(), guest::FrameType::request, payload);
  } else {
    // Our own pipes: no descriptor of the operator's gets in (attack C8).
    BB_TRY(Pipe in_pipe, create_pipe());
    BB_TRY(Pipe out_pipe, create_pipe());
    BB_TRY(Pipe err_pipe, create_pipe());
    const std::array<int, 3> passed{in_pipe.read.get(), out_pipe.write.get(), err_pipe.write.get()};
    sent = guest::send_frame(socket.get(), guest::FrameType::request, payload, passed);
    if (run.stdin_fd >= 0) in = std::move(in_pipe.write);
    out = std::move(out_pipe.read);
    err = std::move(err_pipe.read);
    if (in) ::fcntl(in.get(), F_SETFL, O_NONBLOCK);
  }
  if (!sent) return fail(refusal_of(socket.get(), name));

  GuestResult result;
  guest::FrameReader reader;
  const auto deadline = Clock::now() + run.timeout;
  std::string input;  // read from stdin_fd, not yet written
  bool input_ended = run.stdin_fd < 0;
  std::optional<int> code;
  // A write to a pipe whose reader is gone raises SIGPIPE: kept from the host's process for this thread.
  sigset_t pipe_signal;
  sigset_t before;
  ::sigemptyset(&pipe_signal);
  ::sigaddset(&pipe_signal, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  const auto restore = [&] {
    const timespec none{};
    while (::sigtimedwait(&pipe_signal, nullptr, &none) > 0) {
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  };
  while (!code) {
    std::array<pollfd, 6> polled{
        {{.fd = socket.get(), .events = POLLIN, .revents = 0},
         {.fd = out.get(), .events = POLLIN, .revents = 0},
         {.fd = err.get(), .events = POLLIN, .revents = 0},
         {.fd = in && input.empty() && !input_ended ? run.stdin_fd : -1, .events = POLLIN, .revents = 0},
         {.fd = in && !input.empty() ? in.get() : -1, .events = POLLOUT, .revents = 0},
         {.fd = run.cancel_fd, .events = POLLIN, .revents = 0}}};
    int wait = -1;
    if (run.timeout.count() > 0)
      wait = static_cast<int>(
          std::max<std::int64_t>(0, std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count()));
    const int ready = ::poll(polled.data(), polled.size(), wait);
    if (ready < 0 && errno != EINTR) {
      restore();
      return fail(error_from_errno("cannot poll", errno));
    }
    // Also while there is something to read: a program that writes without an end must not run without one.
    if (run.timeout.count() > 0 && Clock::now() >= deadline) {
      restore();
      return fail(ErrorKind::timeout, name + " did not finish in " + std::to_string(run.timeout.count()) + " ms");
    }
    if (ready <= 0) continue;
    if (polled[5].revents != 0) {
      restore();
      return fail(ErrorKind::cancelled, name + " was cancelled");
    }
    if (polled[1].revents != 0) collect(out, result.out, run.max_output, result.truncated);
    if (polled[2].revents != 0) collect(err, result.err, run.max_output, result.truncated);
    if (polled[3].revents != 0) {
      std::array<char, 65536> bytes{};
      const ssize_t got = ::read(run.stdin_fd, bytes.data(), bytes.size());
      if (got > 0) input.assign(bytes.data(), static_cast<std::size_t>(got));
      if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        input_ended = true;
        in.reset();
      }
    }
    if (polled[4].revents != 0) {
      const ssize_t put = ::write(in.get(), input.data(), input.size());
      if (put > 0) input.erase(0, static_cast<std::size_t>(put));
      if (put < 0 && errno != EAGAIN && errno != EINTR) in.reset();  // it does not read any more
    }
    if (polled[0].revents != 0) {
      const auto got = reader.receive(socket.get());
      guest::Frame frame;
      while (!code && reader.next(frame) == guest::FrameReader::Got::frame) {
        std::uint32_t number = 0;
        if (!guest::decode_u32(frame.payload, number)) break;
        if (frame.type == guest::FrameType::exited) code = static_cast<int>(number & 0xff);
        if (frame.type == guest::FrameType::started && run.detached) code = 0;
        if (frame.type == guest::FrameType::failed) {
          restore();
          return fail(start_error(name, number, std::string_view(frame.payload).substr(4)));
        }
      }
      if (!code && got == guest::FrameReader::Got::ended) {
        restore();
        return fail(ErrorKind::failed_precondition, "the bottle ended while " + name + " ran");
      }
    }
  }
  restore();
  drain(out, result.out, run.max_output, result.truncated);
  drain(err, result.err, run.max_output, result.truncated);
  result.code = *code;
  return result;
}

}  // namespace bot_bottle::backend_local
