#include "sidecar/guest/relay.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>

#include "core/base/unique_fd.hpp"
#include "sidecar/guest/protocol.hpp"

namespace bot_bottle::guest {
namespace {

constexpr int connect_tries = 5000;
constexpr int connect_pause_ms = 2;
constexpr int could_not_run = 125;

bool write_all_of(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      pollfd entry{.fd = fd, .events = POLLOUT, .revents = 0};
      ::poll(&entry, 1, -1);
      continue;
    }
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

bool tell(FrameType type, std::string_view payload) {
  return write_all_of(1, make_frame(type, payload));
}

class Relay {
 public:
  explicit Relay(UniqueFd server) : server_(std::move(server)) {}

  int run() {
    while (!over_) {
      // While the program does not take its input, no more is read: the sender is slowed down, memory is bounded.
      const bool may_read = pending_.empty();
      std::array<pollfd, 5> polled{{{.fd = 0, .events = static_cast<short>(may_read ? POLLIN : 0), .revents = 0},
                                    {.fd = server_.get(), .events = POLLIN, .revents = 0},
                                    {.fd = out_.get(), .events = POLLIN, .revents = 0},
                                    {.fd = err_.get(), .events = POLLIN, .revents = 0},
                                    {.fd = pending_.empty() ? -1 : in_.get(), .events = POLLOUT, .revents = 0}}};
      if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) return could_not_run;
      if (polled[4].revents != 0) flush();
      if (polled[2].revents != 0) move(out_, FrameType::output);
      if (polled[3].revents != 0) move(err_, FrameType::error);
      if ((polled[0].revents & POLLIN) != 0)
        read_operator();
      else if (polled[0].revents != 0)
        over_ = true;  // the operator's side is gone: pid 1 sees our end and hangs up
      if (!over_ && polled[1].revents != 0) read_server();
    }
    return 0;
  }

 private:
  void move(UniqueFd& from, FrameType type) {
    std::array<char, 65536> bytes{};
    const ssize_t got = ::read(from.get(), bytes.data(), bytes.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0)
      from.reset();
    else if (!tell(type, {bytes.data(), static_cast<std::size_t>(got)}))
      over_ = true;
  }

  /// What is there now: descendants may hold the pipe open for ever.
  void drain(UniqueFd& from, FrameType type) {
    while (from && !over_) {
      pollfd entry{.fd = from.get(), .events = POLLIN, .revents = 0};
      if (::poll(&entry, 1, 0) <= 0) return;
      move(from, type);
    }
  }

  void flush() {
    const ssize_t put = ::write(in_.get(), pending_.data(), pending_.size());
    if (put < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (put < 0) {
      pending_.clear();  // the program does not read any more: what comes is of no use
      in_.reset();
      return;
    }
    pending_.erase(0, static_cast<std::size_t>(put));
    if (pending_.empty() && input_ended_ && !tty_) in_.reset();
  }

  void read_operator() {
    std::array<char, 65536> bytes{};
    const ssize_t got = ::read(0, bytes.data(), bytes.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
      over_ = true;
      return;
    }
    operator_frames_.append({bytes.data(), static_cast<std::size_t>(got)});
    Frame frame;
    FrameReader::Got next = FrameReader::Got::more_needed;
    while (!over_ && (next = operator_frames_.next(frame)) == FrameReader::Got::frame) on_operator(frame);
    if (next == FrameReader::Got::ended) over_ = true;
  }

  void on_operator(const Frame& frame) {
    switch (frame.type) {
      case FrameType::request:
        return on_request(frame.payload);
      case FrameType::input:
        if (in_ || !started_) pending_ += frame.payload;
        return flush_if_ready();
      case FrameType::input_end:
        input_ended_ = true;
        if (pending_.empty() && !tty_) in_.reset();
        return;
      case FrameType::resize: {
        std::uint32_t rows = 0;
        std::uint32_t columns = 0;
        if (frame.payload.size() != 8 || !decode_u32(frame.payload, rows) ||
            !decode_u32(std::string_view(frame.payload).substr(4), columns))
          return;
        size_.ws_row = static_cast<unsigned short>(rows);
        size_.ws_col = static_cast<unsigned short>(columns);
        if (tty_ && in_) ::ioctl(in_.get(), TIOCSWINSZ, &size_);
        return;
      }
      case FrameType::signal:
        if (!send_frame(server_.get(), FrameType::signal, frame.payload)) on_server_gone();
        return;
      default:
        over_ = true;
    }
  }

  void flush_if_ready() {
    if (in_ && !pending_.empty()) flush();
  }

  void on_request(const std::string& payload) {
    Request request;
    if (requested_ || !decode(payload, request)) {
      over_ = true;
      return;
    }
    requested_ = true;
    session_ = !request.session.empty();
    size_.ws_row = request.rows;
    size_.ws_col = request.columns;
    if (request.tty || request.detached || (request.argv.empty() && session_)) {
      if (!send_frame(server_.get(), FrameType::request, payload)) on_server_gone();
      return;
    }
    std::array<std::array<UniqueFd, 2>, 3> pipes;
    for (auto& pipe : pipes) {
      std::array<int, 2> ends{};
      if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        over_ = true;
        return;
      }
      pipe[0].reset(ends[0]);
      pipe[1].reset(ends[1]);
    }
    const std::array<int, 3> passed{pipes[0][0].get(), pipes[1][1].get(), pipes[2][1].get()};
    if (!send_frame(server_.get(), FrameType::request, payload, passed)) on_server_gone();
    in_ = std::move(pipes[0][1]);
    out_ = std::move(pipes[1][0]);
    err_ = std::move(pipes[2][0]);
    ::fcntl(in_.get(), F_SETFL, O_NONBLOCK);
  }

  /// It may have said why before it closed.
  void on_server_gone() {
    read_server();
    over_ = true;
  }

  void read_server() {
    const FrameReader::Got got = server_frames_.receive(server_.get());
    Frame frame;
    while (!over_ && server_frames_.next(frame) == FrameReader::Got::frame) {
      if (frame.type == FrameType::started) {
        on_started(frame);
        continue;
      }
      if (frame.type == FrameType::exited) {
        drain(out_, FrameType::output);
        drain(err_, FrameType::error);
      }
      tell(frame.type, frame.payload);
      over_ = true;
    }
    if (got == FrameReader::Got::ended) over_ = true;
  }

  void on_started(const Frame& frame) {
    started_ = true;
    std::vector<UniqueFd> fds = server_frames_.take_fds();
    if (!fds.empty()) {
      tty_ = true;
      in_ = std::move(fds[0]);
      ::fcntl(in_.get(), F_SETFL, O_NONBLOCK);
      out_.reset(::fcntl(in_.get(), F_DUPFD_CLOEXEC, 0));
      if (size_.ws_row > 0 && size_.ws_col > 0) {
        // A session that is attached to again must redraw: a change of size tells it so.
        winsize other = size_;
        other.ws_row = static_cast<unsigned short>(other.ws_row > 1 ? other.ws_row - 1 : other.ws_row + 1);
        if (session_) ::ioctl(in_.get(), TIOCSWINSZ, &other);
        ::ioctl(in_.get(), TIOCSWINSZ, &size_);
      }
    }
    if (!tell(FrameType::started, frame.payload)) over_ = true;
    flush_if_ready();
  }

  UniqueFd server_;
  UniqueFd in_;
  UniqueFd out_;
  UniqueFd err_;
  FrameReader operator_frames_;
  FrameReader server_frames_;
  std::string pending_;  // for in_; at most what one frame holds besides one read
  winsize size_{};
  bool requested_ = false;
  bool started_ = false;
  bool session_ = false;
  bool tty_ = false;
  bool input_ended_ = false;
  bool over_ = false;
};

}  // namespace

int run_relay(const std::string& socket_name) {
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  ::signal(SIGPIPE, SIG_IGN);
  UniqueFd server(connect_abstract(socket_name));
  // The engine may start us before pid 1 has got so far.
  for (int i = 0; !server && i < connect_tries; ++i) {
    ::poll(nullptr, 0, connect_pause_ms);
    server.reset(connect_abstract(socket_name));
  }
  if (!server) {
    tell(FrameType::failed, encode_u32(static_cast<std::uint32_t>(ECONNREFUSED)) + "bottle-init does not listen");
    return could_not_run;
  }
  Relay relay(std::move(server));
  return relay.run();
}

}  // namespace bot_bottle::guest
