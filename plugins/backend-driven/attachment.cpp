#include "plugins/backend-driven/attachment.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <optional>

#include "bot_bottle/plugin.hpp"
#include "core/base/file.hpp"
#include "core/base/paths.hpp"
#include "core/base/terminal.hpp"
#include "core/base/terminal_text.hpp"
#include "plugins/backend-driven/signal_pipe.hpp"
#include "plugins/backend-driven/terminal.hpp"

namespace bot_bottle::driven {
namespace {

using guest::FrameType;
constexpr int could_not_run = 125;
constexpr std::size_t max_why = 500;

int complain(const std::string& text) {
  const std::string line = "bot-bottle: " + escape_untrusted(text) + "\r\n";
  if (auto written = write_all(2, line); !written) return could_not_run;
  return could_not_run;
}

class Attachment {
 public:
  Attachment(GuestChannel& stream, guest::Request request) : stream_(stream), request_(std::move(request)) {}

  int run() {
    ::signal(SIGPIPE, SIG_IGN);
    const SignalPipe signals({SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGWINCH, SIGTSTP});
    if (const auto size = standard_terminal_size(); size && request_.tty) {
      request_.rows = size->ws_row;
      request_.columns = size->ws_col;
    }
    std::string payload;
    if (!guest::encode(request_, payload)) return complain("the request is too long or has a NUL byte");
    stream_.send(FrameType::request, payload);
    const auto start_deadline = std::chrono::steady_clock::now() + start_patience;
    RawTerminal terminal(request_.tty || !request_.session.empty() ? 0 : -1);
    while (!code_) {
      const bool reads = input_open_ && started_ && !stream_.has_unsent();
      std::array<pollfd, 5> polled{
          {{.fd = signals.fd(), .events = POLLIN, .revents = 0},
           {.fd = stream_.read_fd(), .events = POLLIN, .revents = 0},
           {.fd = reads ? 0 : -1, .events = POLLIN, .revents = 0},
           {.fd = stream_.end_fd(), .events = POLLIN, .revents = 0},
           {.fd = stream_.has_unsent() ? stream_.write_fd() : -1, .events = POLLOUT, .revents = 0}}};
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(start_deadline - std::chrono::steady_clock::now());
      if (!started_ && left.count() <= 0) {
        message_ = "the bottle does not answer: bot-bottle stop, and resume it";
        code_ = could_not_run;
        break;
      }
      if (::poll(polled.data(), polled.size(), started_ ? -1 : static_cast<int>(left.count())) < 0 && errno != EINTR)
        return complain("cannot poll");
      if (polled[4].revents != 0) stream_.flush();
      if (polled[2].revents != 0) move_input();
      if (polled[0].revents != 0) on_signals(signals);
      if (polled[3].revents != 0) stream_.on_end_fd();
      if ((polled[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !on_frames()) break;
    }
    terminal.restore();
    if (!message_.empty()) return complain(message_), *code_;
    if (!code_) {
      std::string why = stream_.complaint().substr(0, max_why);
      while (!why.empty() && (why.back() == '\n' || why.back() == '\r')) why.pop_back();
      return complain("the bottle has ended" + (why.empty() ? std::string() : " (" + why + ")"));
    }
    return *code_;
  }

 private:
  void move_input() {
    std::array<char, 65536> bytes{};
    const ssize_t got = ::read(0, bytes.data(), bytes.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got > 0) return stream_.send(FrameType::input, {bytes.data(), static_cast<std::size_t>(got)});
    input_open_ = false;
    stream_.send(FrameType::input_end, {});  // the program sees the end of its input; a terminal has none
  }

  void on_signals(const SignalPipe& signals) {
    while (const int number = signals.take()) {
      if (number == SIGWINCH) {
        if (const auto size = standard_terminal_size())
          stream_.send(FrameType::resize, guest::encode_u32(size->ws_row) + guest::encode_u32(size->ws_col));
      } else if (number == SIGHUP) {
        code_ = 128 + number;  // our terminal is gone; the bottle's side sees the connection end
      } else if (number != SIGTSTP || request_.tty) {
        const char byte = static_cast<char>(number);
        if (started_)
          stream_.send(FrameType::signal, {&byte, 1});
        else
          code_ = 128 + number;
        if (request_.tty && number == SIGTERM) code_ = 128 + number;
      }
    }
  }

  /// False at the end of the connection. What comes is written by the bottle: every frame is checked.
  bool on_frames() {
    const bool more = stream_.receive();
    while (!code_) {
      const auto frame = stream_.next();
      if (!frame) break;
      std::uint32_t number = 0;
      if (frame->type == FrameType::output || frame->type == FrameType::error) {
        write_all_waiting(frame->type == FrameType::output ? 1 : 2, frame->payload);
        continue;
      }
      if (!guest::decode_u32(frame->payload, number)) return false;
      if (frame->type == FrameType::started) {
        started_ = true;
        write_all_waiting(1, std::string_view(frame->payload).substr(4));
      } else if (frame->type == FrameType::exited) {
        code_ = static_cast<int>(number & 0xff);
      } else if (frame->type == FrameType::failed) {
        message_ = (request_.argv.empty() ? request_.session : request_.argv[0]) + ": " + frame->payload.substr(4);
        if (number == ENOENT && !request_.argv.empty())
          message_ = "no program '" + request_.argv[0] + "' in this bottle, or no directory '" + request_.cwd + "'";
        code_ = number == ENOENT ? 127 : number == EACCES || number == ENOEXEC ? 126 : could_not_run;
      } else {
        return false;
      }
    }
    return more && !stream_.is_broken();
  }

  GuestChannel& stream_;
  guest::Request request_;
  bool started_ = false;
  bool input_open_ = true;
  std::optional<int> code_;
  std::string message_;
};

}  // namespace

int run_attach(const char* program,
               const std::function<std::unique_ptr<GuestChannel>(const json::object& request)>& open) {
  const auto text = environment("BB_ATTACH_REQUEST");
  if (!text) return complain(std::string(program) + " is started by bot-bottle, not by hand");
  const auto object = parse_json_object(*text);
  if (!object) return complain("BB_ATTACH_REQUEST is not a request");
  guest::Request request;
  request.argv = get_strings(*object, "argv");
  request.cwd = get_string(*object, "cwd");
  request.tty = get_bool(*object, "tty", false);
  request.session = get_string(*object, "session");
  request.detached = get_bool(*object, "detached", !request.session.empty());
  request.rows = static_cast<std::uint16_t>(get_int(*object, "rows", 24));
  request.columns = static_cast<std::uint16_t>(get_int(*object, "columns", 80));
  if (const json::object* env = find_object(*object, "env"))
    for (const auto& [name, value] : *env)
      if (value.is_string()) request.env.push_back(std::string(name) + "=" + std::string(value.as_string()));
  try {
    const std::unique_ptr<GuestChannel> channel = open(*object);
    return Attachment(*channel, std::move(request)).run();
  } catch (const sdk::Error& error) {
    return complain(error.message);
  } catch (const std::exception& error) {
    return complain(error.what());
  }
}

}  // namespace bot_bottle::driven
