#include "plugins/backend-driven/guest_channel.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "bot_bottle/plugin.hpp"
#include "core/base/error.hpp"

namespace bot_bottle::driven {
namespace {

using Clock = std::chrono::steady_clock;
using guest::FrameType;
constexpr std::size_t max_complaint = 4096;
constexpr std::size_t input_piece = std::size_t{256} * 1024;

[[noreturn]] void throw_start_error(const std::string& program, std::uint32_t number, std::string_view text) {
  const std::string message = program + ": " + std::string(text);
  if (number == ENOENT || number == ENOTDIR) throw sdk::Error(sdk::Status::not_found, message, "is it in the image?");
  if (number == EACCES || number == ENOEXEC || number == EPERM)
    throw sdk::Error(sdk::Status::permission_denied, message);
  if (number == EBUSY) throw sdk::Error(sdk::Status::already_exists, message);
  throw sdk::Error(sdk::Status::failed_precondition, message);
}

}  // namespace

void GuestChannel::send(FrameType type, std::string_view payload) {
  unsent_ += guest::make_frame(type, payload);
  flush();
}

void GuestChannel::flush() {
  while (!unsent_.empty()) {
    const ssize_t sent = write_some(unsent_);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) {
      unsent_.clear();  // the other end is gone: reading tells
      return;
    }
    unsent_.erase(0, static_cast<std::size_t>(sent));
  }
}

std::optional<guest::Frame> GuestChannel::next() {
  guest::Frame frame;
  const guest::FrameReader::Got got = frames_.next(frame);
  if (got == guest::FrameReader::Got::ended) broken_ = true;
  if (got != guest::FrameReader::Got::frame) return std::nullopt;
  return frame;
}

void GuestChannel::note_complaint(std::string_view bytes) {
  complaint_.append(bytes.substr(0, max_complaint - std::min(max_complaint, complaint_.size())));
}

namespace {

class Runner {
 public:
  Runner(GuestChannel& stream, const GuestRun& run) : stream_(stream), run_(run) {}

  GuestResult go() {
    guest::Request request;
    request.argv = run_.argv;
    request.env = run_.env;
    request.cwd = run_.cwd;
    request.session = run_.session;
    request.detached = run_.detached;
    request.tty = run_.tty;
    std::string payload;
    if (!guest::encode(request, payload))
      throw sdk::Error(sdk::Status::invalid_argument, "the request is too long or has a NUL byte");
    stream_.send(FrameType::request, payload);
    if (run_.stdin_fd < 0 && !run_.input) stream_.send(FrameType::input_end, {});
    input_ended_ = run_.stdin_fd < 0 && !run_.input;
    deadline_ = Clock::now() + run_.timeout;
    start_deadline_ = Clock::now() + run_.start_timeout;
    while (!over_) turn();
    return std::move(result_);
  }

 private:
  void turn() {
    if (run_.input && !input_ended_ && !stream_.has_unsent()) {
      if (const auto part = run_.input()) {
        for (std::size_t at = 0; at < part->size(); at += input_piece)
          stream_.send(FrameType::input, std::string_view(*part).substr(at, input_piece));
      } else {
        input_ended_ = true;
        stream_.send(FrameType::input_end, {});
      }
    }
    const bool from_fd = run_.stdin_fd >= 0 && !input_ended_ && !stream_.has_unsent();
    const bool more_source = run_.input && !input_ended_ && !stream_.has_unsent();
    std::array<pollfd, 5> polled{
        {{.fd = stream_.read_fd(), .events = POLLIN, .revents = 0},
         {.fd = from_fd ? run_.stdin_fd : -1, .events = POLLIN, .revents = 0},
         {.fd = run_.cancel_fd, .events = POLLIN, .revents = 0},
         {.fd = stream_.end_fd(), .events = POLLIN, .revents = 0},
         {.fd = stream_.has_unsent() ? stream_.write_fd() : -1, .events = POLLOUT, .revents = 0}}};
    int wait = more_source ? 0 : -1;
    const bool has_timeout = run_.timeout.count() > 0;
    if ((has_timeout || !started_) && wait != 0) {
      Clock::time_point next = has_timeout ? deadline_ : start_deadline_;
      if (!started_) next = std::min(next, start_deadline_);
      wait = static_cast<int>(
          std::max<std::int64_t>(0, std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count()));
    }
    const int ready = ::poll(polled.data(), polled.size(), wait);
    if (ready < 0 && errno != EINTR) throw Failure(error_from_errno("cannot poll", errno));
    if (has_timeout && Clock::now() >= deadline_)
      throw sdk::Error(sdk::Status::timeout, name() + " did not end in time");
    if (!started_ && Clock::now() >= start_deadline_)
      throw sdk::Error(sdk::Status::timeout, name() + " could not be started: the bottle does not answer",
                       "bot-bottle stop, and resume it");
    if (ready <= 0) return;
    if (polled[2].revents != 0) throw sdk::Error(sdk::Status::cancelled, "cancelled");
    if (polled[1].revents != 0) read_input();
    if (polled[4].revents != 0) stream_.flush();
    if (polled[3].revents != 0) stream_.on_end_fd();
    if ((polled[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) read_frames();
  }

  [[nodiscard]] std::string name() const { return run_.argv.empty() ? run_.session : run_.argv[0]; }

  void read_input() {
    std::array<char, 65536> bytes{};
    const ssize_t got = ::read(run_.stdin_fd, bytes.data(), bytes.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got > 0) return stream_.send(FrameType::input, {bytes.data(), static_cast<std::size_t>(got)});
    input_ended_ = true;
    stream_.send(FrameType::input_end, {});
  }

  void keep(std::string& into, std::string_view bytes) {
    const std::size_t room = run_.max_output - std::min<std::size_t>(run_.max_output, into.size());
    if (bytes.size() > room) result_.truncated = true;
    into.append(bytes.substr(0, room));
  }

  void read_frames() {
    const bool more = stream_.receive();
    while (!over_) {
      const auto frame = stream_.next();
      if (!frame) break;
      std::uint32_t number = 0;
      switch (frame->type) {
        case FrameType::output:
          if (run_.output)
            run_.output(frame->payload);
          else
            keep(result_.out, frame->payload);
          break;
        case FrameType::error:
          keep(result_.err, frame->payload);
          break;
        case FrameType::started:
          started_ = true;
          over_ = run_.detached;
          break;
        case FrameType::exited:
          if (!guest::decode_u32(frame->payload, number)) return broken();
          result_.code = static_cast<int>(number & 0xff);
          over_ = true;
          break;
        case FrameType::failed:
          if (!guest::decode_u32(frame->payload, number)) return broken();
          throw_start_error(name(), number, std::string_view(frame->payload).substr(4));
        default:
          return broken();
      }
    }
    if (!over_ && (!more || stream_.is_broken())) broken();
  }

  [[noreturn]] void broken() const {
    std::string why = stream_.complaint().substr(0, 500);
    while (!why.empty() && why.back() == '\n') why.pop_back();
    throw sdk::Error(sdk::Status::failed_precondition, "the bottle has ended" + (why.empty() ? "" : " (" + why + ")"));
  }

  GuestChannel& stream_;
  const GuestRun& run_;
  GuestResult result_;
  Clock::time_point deadline_;
  Clock::time_point start_deadline_;
  bool started_ = false;
  bool input_ended_ = false;
  bool over_ = false;
};

}  // namespace

GuestResult run_in_guest(GuestChannel& channel, const GuestRun& run) {
  return Runner(channel, run).go();
}

}  // namespace bot_bottle::driven
