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

constexpr std::chrono::milliseconds last_words{500};

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

ssize_t GuestStream::write_some(std::string_view bytes) {
  return ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
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
  while (!bytes.empty() && !is_broken()) {
    if (piece_left_ == 0) {
      head_.push_back(bytes.front());
      bytes.remove_prefix(1);
      if (head_.size() < 8) continue;
      const auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(head_[i])); };
      piece_stream_ = static_cast<int>(byte(0));
      piece_left_ = (byte(4) << 24) | (byte(5) << 16) | (byte(6) << 8) | byte(7);
      head_.clear();
      if (piece_stream_ > 2) set_broken();
      continue;
    }
    const std::string_view part = bytes.substr(0, piece_left_);
    if (piece_stream_ == 1)
      take(part);
    else
      note_complaint(part);
    piece_left_ -= part.size();
    bytes.remove_prefix(part.size());
  }
}

GuestResult run_in_guest(Engine& engine, const std::string& container, const std::string& user, const GuestRun& run) {
  GuestStream stream(engine, container, user);
  return driven::run_in_guest(stream, run);
}

}  // namespace bot_bottle::backend_docker
