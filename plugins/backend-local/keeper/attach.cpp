#include "keeper/attach.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "core/base/paths.hpp"
#include "core/base/terminal.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/unique_fd.hpp"
#include "plugins/backend-driven/terminal.hpp"
#include "sidecar/guest/protocol.hpp"

namespace bot_bottle::backend_local {
namespace {

constexpr int could_not_run = 125;

int complain(const std::string& text) {
  const std::string line = "bot-bottle: " + escape_untrusted(text) + "\r\n";
  if (auto written = write_all(2, line); !written) return could_not_run;
  return could_not_run;
}

Result<guest::Request> read_request() {
  const auto text = environment("BB_ATTACH_REQUEST");
  if (!text) return fail(ErrorKind::usage, "BB_ATTACH_REQUEST is not set");
  BB_TRY(const json::object object, parse_json_object(*text));
  guest::Request request;
  request.argv = get_strings(object, "argv");
  request.cwd = get_string(object, "cwd");
  request.tty = get_bool(object, "tty", false);
  request.session = get_string(object, "session");
  request.detached = get_bool(object, "detached", !request.session.empty());
  request.rows = static_cast<std::uint16_t>(get_int(object, "rows", 24));
  request.columns = static_cast<std::uint16_t>(get_int(object, "columns", 80));
  if (const json::object* env = find_object(object, "env"))
    for (const auto& [name, value] : *env)
      if (value.is_string()) request.env.push_back(std::string(name) + "=" + std::string(value.as_string()));
  return request;
}

/// One direction: `from` → `to`. The bottle's ends do not block.
struct Relay {
  int from = -1;
  int to = -1;
  bool open = true;

  /// One read; `open` goes false at the end.
  void move() {
    std::array<char, 65536> bytes{};
    const ssize_t got = ::read(from, bytes.data(), bytes.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0 || !write_all_waiting(to, {bytes.data(), static_cast<std::size_t>(got)})) open = false;
  }
  /// What is there now, without waiting.
  void drain() {
    pollfd entry{.fd = from, .events = POLLIN, .revents = 0};
    while (open && ::poll(&entry, 1, 0) > 0 && (entry.revents & POLLIN) != 0) move();
  }
};

class Attachment {
 public:
  Attachment(UniqueFd socket, guest::Request request) : socket_(std::move(socket)), request_(std::move(request)) {}

  int run() {
    sigset_t handled;
    ::sigemptyset(&handled);
    for (const int number : {SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGWINCH, SIGTSTP}) ::sigaddset(&handled, number);
    ::sigprocmask(SIG_BLOCK, &handled, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    signals_.reset(::signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
    if (const auto size = standard_terminal_size(); size && request_.tty) {
      request_.rows = size->ws_row;
      request_.columns = size->ws_col;
    }
    std::string payload;
    if (!guest::encode(request_, payload)) return complain("the request is too long or has a NUL byte");
    if (request_.tty || (request_.argv.empty() && !request_.session.empty())) {
      if (!guest::send_frame(socket_.get(), guest::FrameType::request, payload)) return complain_of_end();
    } else if (!send_with_pipes(payload)) {
      return complain_of_end();
    }
    driven::RawTerminal terminal(request_.tty ? 0 : -1);
    while (!code_) {
      std::array<pollfd, 5> polled{};
      polled[0] = {.fd = signals_.get(), .events = POLLIN, .revents = 0};
      polled[1] = {.fd = socket_.get(), .events = POLLIN, .revents = 0};
      polled[2] = {.fd = started_ && in_.open ? in_.from : -1, .events = POLLIN, .revents = 0};
      polled[3] = {.fd = started_ && out_.open ? out_.from : -1, .events = POLLIN, .revents = 0};
      polled[4] = {.fd = started_ && err_.open ? err_.from : -1, .events = POLLIN, .revents = 0};
      if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) return complain("cannot poll");
      if (polled[3].revents != 0) out_.move();
      if (polled[4].revents != 0) err_.move();
      if (polled[2].revents != 0) move_input();
      if (polled[0].revents != 0) on_signals();
      if (polled[1].revents != 0 && !on_frames()) break;
    }
    if (started_) {
      out_.drain();
      err_.drain();
    }
    terminal.restore();
    if (!message_.empty()) return complain(message_);
    if (!code_) return complain("the bottle has ended");
    return *code_;
  }

 private:
  /// Of a connection that took no request: it may have been told why.
  int complain_of_end() {
    on_frames();
    return complain(message_.empty() ? "the bottle has ended" : message_);
  }

  bool send_with_pipes(const std::string& payload) {
    for (auto& pipe : pipes_) {
      std::array<int, 2> ends{};
      if (::pipe2(ends.data(), O_CLOEXEC) != 0) return false;
      pipe[0].reset(ends[0]);
      pipe[1].reset(ends[1]);
    }
    const std::array<int, 3> passed{pipes_[0][0].get(), pipes_[1][1].get(), pipes_[2][1].get()};
    if (!guest::send_frame(socket_.get(), guest::FrameType::request, payload, passed)) return false;
    pipes_[0][0].reset();
    pipes_[1][1].reset();
    pipes_[2][1].reset();
    in_ = {.from = 0, .to = pipes_[0][1].get()};
    out_ = {.from = pipes_[1][0].get(), .to = 1};
    err_ = {.from = pipes_[2][0].get(), .to = 2};
    return true;
  }

  void move_input() {
    in_.move();
    if (in_.open) return;
    if (!request_.tty) pipes_[0][1].reset();  // the program sees the end of its input
  }

  void on_signals() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      const int number = static_cast<int>(info.ssi_signo);
      if (number == SIGWINCH) {
        if (const auto size = standard_terminal_size(); size && master_) ::ioctl(master_.get(), TIOCSWINSZ, &*size);
      } else if (number == SIGHUP) {
        code_ = 128 + number;  // our terminal is gone; the bottle's side sees the connection end
      } else if (number != SIGTSTP || request_.tty) {
        const char byte = static_cast<char>(number);
        if (!started_ || !guest::send_frame(socket_.get(), guest::FrameType::signal, {&byte, 1})) code_ = 128 + number;
        if (request_.tty && number == SIGTERM) code_ = 128 + number;
      }
    }
  }

  /// False at the end of the connection. What comes is written by the bottle: every frame is checked.
  bool on_frames() {
    const auto got = reader_.receive(socket_.get());
    guest::Frame frame;
    while (!code_ && reader_.next(frame) == guest::FrameReader::Got::frame) {
      std::uint32_t number = 0;
      if (!guest::decode_u32(frame.payload, number)) return false;
      if (frame.type == guest::FrameType::started) {
        if (!on_started(frame)) return false;
      } else if (frame.type == guest::FrameType::exited) {
        code_ = static_cast<int>(number & 0xff);
      } else if (frame.type == guest::FrameType::failed) {
        message_ = (request_.argv.empty() ? request_.session : request_.argv[0]) + ": " + frame.payload.substr(4);
        if (number == ENOENT && !request_.argv.empty())
          message_ = "no program '" + request_.argv[0] + "' in this bottle, or no directory '" + request_.cwd + "'";
        code_ = number == ENOENT ? 127 : number == EACCES || number == ENOEXEC ? 126 : could_not_run;
        if (number == ENOENT || number == EACCES || number == ENOEXEC) {
          complain(message_);
          message_.clear();
        }
      }
    }
    return got != guest::FrameReader::Got::ended;
  }

  bool on_started(const guest::Frame& frame) {
    std::vector<UniqueFd> fds = reader_.take_fds();
    started_ = true;
    if (!fds.empty()) {
      master_ = std::move(fds[0]);
      if (::isatty(master_.get()) == 0) return false;
      ::fcntl(master_.get(), F_SETFL, O_NONBLOCK);
      in_ = {.from = 0, .to = master_.get()};
      out_ = {.from = master_.get(), .to = 1};
      err_.open = false;
      write_all_waiting(1, std::string_view(frame.payload).substr(4));
      if (const auto size = standard_terminal_size()) {
        // A session that is attached to again must redraw: a change of size tells it so.
        winsize other = *size;
        other.ws_row = static_cast<unsigned short>(other.ws_row > 1 ? other.ws_row - 1 : other.ws_row + 1);
        if (!request_.session.empty()) ::ioctl(master_.get(), TIOCSWINSZ, &other);
        ::ioctl(master_.get(), TIOCSWINSZ, &*size);
      }
    } else if (request_.tty) {
      return false;
    } else if (out_.from < 0) {
      in_.open = out_.open = err_.open = false;  // a session without a terminal: only its end can be waited for
    }
    return true;
  }

  UniqueFd socket_;
  guest::Request request_;
  UniqueFd signals_;
  guest::FrameReader reader_;
  std::array<std::array<UniqueFd, 2>, 3> pipes_;
  UniqueFd master_;
  Relay in_;
  Relay out_;
  Relay err_;
  bool started_ = false;
  std::optional<int> code_;
  std::string message_;
};

}  // namespace

int run_attach(const std::string& socket) {
  auto request = read_request();
  if (!request) return complain(request.error().message);
  UniqueFd connection(guest::connect_unix(socket));
  if (!connection) return complain("the bottle is not running");
  Attachment attachment(std::move(connection), std::move(*request));
  return attachment.run();
}

}  // namespace bot_bottle::backend_local
