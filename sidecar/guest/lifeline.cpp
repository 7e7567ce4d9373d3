#include "sidecar/guest/lifeline.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <list>
#include <memory>
#include <vector>

#include "sidecar/guest/forward.hpp"
#include "sidecar/guest/protocol.hpp"

namespace bot_bottle::guest {
namespace {

constexpr std::chrono::milliseconds retry{5};
constexpr auto patience = std::chrono::seconds(20);
/// The agent can connect here, too: what it opens costs a descriptor each, and no more than these.
constexpr std::size_t max_held = 32;
constexpr std::uint32_t max_configuration = 4U << 20;

void try_to_follow(Loop& loop, const Target& target, Loop::Clock::time_point deadline) {
  static UniqueFd line;
  line.reset(::socket(target.raw()->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{.tv_sec = 2, .tv_usec = 0};
  if (line) ::setsockopt(line.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (line && ::connect(line.get(), target.raw(), target.size) == 0) {
    loop.add(line.get(), EPOLLIN, [](std::uint32_t) {
      std::array<char, 64> bytes{};
      const ssize_t got = ::recv(line.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) ::_exit(0);
    });
    return;
  }
  if (Loop::Clock::now() > deadline) ::_exit(0);
  loop.after(retry, [&loop, target, deadline] { try_to_follow(loop, target, deadline); });
}

class Holder {
 public:
  Holder(Loop& loop, UniqueFd listener) : loop_(loop), listener_(std::move(listener)) {
    loop_.add(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept_one(); });
  }

 private:
  void accept_one() {
    UniqueFd held(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!held || held_.size() >= max_held) return;
    const auto at = held_.insert(held_.end(), std::move(held));
    const int fd = at->get();
    loop_.add(fd, EPOLLIN, [this, at](std::uint32_t) {
      std::array<char, 256> bytes{};
      const ssize_t got = ::recv(at->get(), bytes.data(), bytes.size(), 0);
      if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR))) return;
      loop_.remove(at->get());
      loop_.later([this, at] { held_.erase(at); });
    });
  }

  Loop& loop_;
  UniqueFd listener_;
  std::list<UniqueFd> held_;
};

void wipe_bytes(void* memory, std::size_t size) {
  volatile char* at = static_cast<volatile char*>(memory);
  while (size-- > 0) *at++ = 0;
}

class ConfigurationFeed {
 public:
  ConfigurationFeed(Loop& loop, UniqueFd into, AfterConfig after, std::function<void()> on_end)
      : loop_(loop), into_(std::move(into)), after_(after), on_end_(std::move(on_end)) {
    loop_.add(0, EPOLLIN, [this](std::uint32_t) { on_bytes(); });
  }

 private:
  void on_bytes() {
    std::array<char, 65536> bytes{};
    const ssize_t got = ::read(0, bytes.data(), bytes.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
      loop_.remove(0);
      into_.reset();
      if (after_ == AfterConfig::wait_for_end || !is_whole()) on_end_();
      return;
    }
    std::string_view left(bytes.data(), static_cast<std::size_t>(got));
    while (head_.size() < 4 && !left.empty()) {
      head_.push_back(left.front());
      left.remove_prefix(1);
    }
    std::uint32_t length = 0;
    if (decode_u32(head_, length)) {
      if (length > max_configuration) {
        into_.reset();
        on_end_();
      }
      const std::string_view part = left.substr(0, std::min<std::size_t>(left.size(), length - passed_));
      pass(part);
      if (is_whole()) into_.reset();
    }
    wipe_bytes(bytes.data(), bytes.size());
  }

  /// The program reads at once, so that a pipe's worth of waiting is all there is.
  void pass(std::string_view part) {
    passed_ += part.size();
    while (into_ && !part.empty()) {
      const ssize_t put = ::write(into_.get(), part.data(), part.size());
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) return into_.reset();
      part.remove_prefix(static_cast<std::size_t>(put));
    }
  }

  [[nodiscard]] bool is_whole() const {
    std::uint32_t length = 0;
    return decode_u32(head_, length) && passed_ == length;
  }

  Loop& loop_;
  UniqueFd into_;
  AfterConfig after_;
  std::function<void()> on_end_;
  std::string head_;
  std::size_t passed_ = 0;
};

}  // namespace

void follow_lifeline(Loop& loop, const std::string& target) {
  const Target found = find_target(target);
  if (found.size == 0) ::_exit(125);
  try_to_follow(loop, found, Loop::Clock::now() + patience);
}

bool hold_lifelines(Loop& loop, const std::string& target) {
  const Target found = find_target(target);
  if (found.size == 0) {
    errno = EINVAL;
    return false;
  }
  UniqueFd listener(::socket(found.raw()->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener) return false;
  const bool is_path = target.starts_with('/');
  if (is_path) ::unlink(target.c_str());
  if (::bind(listener.get(), found.raw(), found.size) != 0 || ::listen(listener.get(), 16) != 0) return false;
  if (is_path && ::chmod(target.c_str(), 0666) != 0) return false;
  static std::vector<std::unique_ptr<Holder>> holders;
  holders.push_back(std::make_unique<Holder>(loop, std::move(listener)));
  return true;
}

void feed_configuration(Loop& loop, UniqueFd into, AfterConfig after, std::function<void()> on_end) {
  static std::unique_ptr<ConfigurationFeed> feed;
  feed = std::make_unique<ConfigurationFeed>(loop, std::move(into), after, std::move(on_end));
}

}  // namespace bot_bottle::guest
