#include "plugins/backend-docker/guest_stream.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "bot_bottle/plugin.hpp"
#include "core/base/error.hpp"

namespace bot_bottle::backend_docker {
namespace {

using Clock = std::chrono::steady_clock;
using guest::FrameType;
constexpr std::size_t max_complaint = 4096;
constexpr std::chrono::milliseconds last_words{500};
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

GuestStream::GuestStream(Engine& engine, const std::string& container, const std::string& user) {
  const json::object wanted{{"AttachStdin", true},
                            {"AttachStdout", true},
                            {"AttachStderr", true},
                            {"Tty", false},
                            {"User", user},
                            {"WorkingDir", "/"},
                            {"Cmd", json::array{guest_init, "--relay"}}};
  const Answer created = engine.ask("POST", "/containers/" + container + "/exec", wanted);
  if (created.status == 404 || created.status == 409)
    throw sdk::Error(sdk::Status::failed_precondition, "the bottle is not running");
  if (created.status >= 400) throw_engine_error("exec", created);
  const auto object = parse_json_object(created.body);
  const std::string id = object ? get_string(*object, "Id") : "";
  if (id.empty()) throw sdk::Error(sdk::Status::internal, "the container engine gave an exec no id");
  std::string early;
  try {
    fd_ = engine.hijack("/exec/" + id + "/start", json::object{{"Detach", false}, {"Tty", false}}, early);
  } catch (const sdk::Error& error) {
    if (error.status == sdk::Status::already_exists)
      throw sdk::Error(sdk::Status::failed_precondition, "the bottle is not running");
    throw;
  }
  ::fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
  end_ = engine.begin("POST", "/containers/" + container + "/wait?condition=not-running");
  demultiplex(early);
}

void GuestStream::on_end_fd() {
  std::array<char, 4096> bytes{};
  const ssize_t got = ::recv(end_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got > 0) end_answer_.append(bytes.data(), static_cast<std::size_t>(got));
  const std::size_t head = end_answer_.find("\r\n\r\n");
  // The head may come at once; the body is the end. An engine that does not answer that question is not asked again.
  const bool has_body = head != std::string::npos && end_answer_.size() > head + 4;
  const bool is_answer = end_answer_.starts_with("HTTP/1.1 200") || end_answer_.starts_with("HTTP/1.1 404");
  if (got > 0 && !has_body && end_answer_.size() < 65536) return;
  end_.reset();
  if (!has_body || !is_answer) return;
  // What was under way comes first: the engine closes the stream behind it.
  pollfd entry{.fd = fd_.get(), .events = POLLRDHUP, .revents = 0};
  ::poll(&entry, 1, static_cast<int>(last_words.count()));
  ::shutdown(fd_.get(), SHUT_RD);
}

void GuestStream::send(FrameType type, std::string_view payload) {
  unsent_ += guest::make_frame(type, payload);
  flush();
}

void GuestStream::flush() {
  while (!unsent_.empty()) {
    const ssize_t sent = ::send(fd_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) {
      unsent_.clear();  // the other end is gone: reading tells
      return;
    }
    unsent_.erase(0, static_cast<std::size_t>(sent));
  }
}

bool GuestStream::receive() {
  std::array<char, 65536> bytes{};
  const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  demultiplex({bytes.data(), static_cast<std::size_t>(got)});
  return true;
}

/// [stream, 0, 0, 0, big-endian u32 size] and so many bytes, again and again.
void GuestStream::demultiplex(std::string_view bytes) {
  while (!bytes.empty() && !broken_) {
    if (piece_left_ == 0) {
      head_.push_back(bytes.front());
      bytes.remove_prefix(1);
      if (head_.size() < 8) continue;
      const auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(head_[i])); };
      piece_stream_ = static_cast<int>(byte(0));
      piece_left_ = (byte(4) << 24) | (byte(5) << 16) | (byte(6) << 8) | byte(7);
      head_.clear();
      if (piece_stream_ > 2) broken_ = true;
      continue;
    }
    const std::string_view part = bytes.substr(0, piece_left_);
    if (piece_stream_ == 1)
      frames_.append(part);
    else if (complaint_.size() < max_complaint)
      complaint_.append(part.substr(0, max_complaint - complaint_.size()));
    piece_left_ -= part.size();
    bytes.remove_prefix(part.size());
  }
}

std::optional<guest::Frame> GuestStream::next() {
  guest::Frame frame;
  const guest::FrameReader::Got got = frames_.next(frame);
  if (got == guest::FrameReader::Got::ended) broken_ = true;
  if (got != guest::FrameReader::Got::frame) return std::nullopt;
  return frame;
}

namespace {

class Runner {
 public:
  Runner(GuestStream& stream, const GuestRun& run) : stream_(stream), run_(run) {}

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
    std::array<pollfd, 4> polled{{{.fd = stream_.fd(),
                                   .events = static_cast<short>(POLLIN | (stream_.has_unsent() ? POLLOUT : 0)),
                                   .revents = 0},
                                  {.fd = from_fd ? run_.stdin_fd : -1, .events = POLLIN, .revents = 0},
                                  {.fd = run_.cancel_fd, .events = POLLIN, .revents = 0},
                                  {.fd = stream_.end_fd(), .events = POLLIN, .revents = 0}}};
    int wait = more_source ? 0 : -1;
    if (run_.timeout.count() > 0 && wait != 0)
      wait = static_cast<int>(
          std::max<std::int64_t>(0, std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now()).count()));
    const int ready = ::poll(polled.data(), polled.size(), wait);
    if (ready < 0 && errno != EINTR) throw Failure(error_from_errno("cannot poll", errno));
    if (run_.timeout.count() > 0 && Clock::now() >= deadline_)
      throw sdk::Error(sdk::Status::timeout, name() + " did not end in time");
    if (ready <= 0) return;
    if (polled[2].revents != 0) throw sdk::Error(sdk::Status::cancelled, "cancelled");
    if (polled[1].revents != 0) read_input();
    if ((polled[0].revents & POLLOUT) != 0) stream_.flush();
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

  GuestStream& stream_;
  const GuestRun& run_;
  GuestResult result_;
  Clock::time_point deadline_;
  bool input_ended_ = false;
  bool over_ = false;
};

}  // namespace

GuestResult run_in_guest(Engine& engine, const std::string& container, const std::string& user, const GuestRun& run) {
  GuestStream stream(engine, container, user);
  return Runner(stream, run).go();
}

}  // namespace bot_bottle::backend_docker
