#include "core/desk/channel.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "core/launch/control_client.hpp"

namespace bot_bottle::desk {
namespace {

/// A sidecar of ours leaves out what does not fit into 850 KiB, and counts it.
constexpr std::size_t max_answer = std::size_t{2} << 20;
/// Read at a time: a sidecar that writes without end must not keep us from the others.
constexpr std::size_t max_read = std::size_t{1} << 20;

Error closed() {
  return make_error(ErrorKind::unavailable, "the sidecar closed its control channel", "bot-bottle logs shows why");
}

}  // namespace

Result<Channel> Channel::connect(const std::filesystem::path& socket) {
  try {
    return Channel(launch::connect_control(socket));
  } catch (const Failure& failure) {
    return fail(failure.error());
  }
}

void Channel::call(json::object request, std::chrono::milliseconds timeout, Done done) {
  request["id"] = ++last_id_;
  out_ += to_text(request) + "\n";
  waiting_.push_back({last_id_, Clock::now() + timeout, std::move(done)});
}

short Channel::events() const {
  return static_cast<short>(POLLIN | (out_.empty() ? 0 : POLLOUT));
}

Channel::Clock::time_point Channel::deadline() const {
  auto first = Clock::time_point::max();
  for (const Waiting& one : waiting_) first = std::min(first, one.deadline);
  return first;
}

bool Channel::work(short ready) {
  if ((!out_.empty() && !send()) || ((ready & (POLLIN | POLLHUP | POLLERR)) != 0 && !receive())) {
    end(closed());
    return false;
  }
  if (Clock::now() >= deadline()) {
    end(make_error(ErrorKind::timeout, "the sidecar did not answer"));
    return false;
  }
  return true;
}

bool Channel::send() {
  while (!out_.empty()) {
    const ssize_t sent = ::send(fd_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
    if (sent > 0)
      out_.erase(0, static_cast<std::size_t>(sent));
    else if (errno == EAGAIN)
      return true;
    else if (errno != EINTR)
      return false;
  }
  return true;
}

bool Channel::receive() {
  std::array<char, 65536> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): read(2) fills it
  for (std::size_t taken = 0; taken < max_read;) {
    const ssize_t got = ::read(fd_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return true;
    if (got <= 0) return false;
    in_.append(buffer.data(), static_cast<std::size_t>(got));
    taken += static_cast<std::size_t>(got);
    for (std::size_t end = in_.find('\n', searched_); end != std::string::npos; end = in_.find('\n')) {
      const std::string line = in_.substr(0, end);
      in_.erase(0, end + 1);
      if (!take(line)) return false;
    }
    searched_ = in_.size();
    if (in_.size() > max_answer) return false;
    if (in_.empty()) in_.shrink_to_fit();
  }
  return true;
}

/// False: it answers what nobody asked, which no sidecar of ours does.
bool Channel::take(std::string_view line) {
  if (waiting_.empty()) return false;
  Waiting one = std::move(waiting_.front());
  waiting_.pop_front();
  one.done(launch::read_control_answer(line, max_answer));
  return true;
}

void Channel::end(const Error& why) {
  fd_.reset();
  while (!waiting_.empty()) {
    const Waiting one = std::move(waiting_.front());
    waiting_.pop_front();
    one.done(fail(why));
  }
}

}  // namespace bot_bottle::desk
