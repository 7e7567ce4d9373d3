// One connection to a sidecar's control socket that never blocks. One thread; the owner polls.
#pragma once

#include <chrono>
#include <deque>
#include <filesystem>
#include <functional>
#include <string>

#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::desk {

class Channel {
 public:
  using Clock = std::chrono::steady_clock;
  /// Called once a request: the answer's `ok`, its error, or why there is none (unavailable, timeout).
  using Done = std::function<void(Result<json::object>)>;

  /// Connected on return. unavailable when nothing listens.
  static Result<Channel> connect(const std::filesystem::path& socket);

  /// Requests are sent and answered in their order. The channel must outlive `done`'s call; `done` may not destroy it.
  void call(json::object request, std::chrono::milliseconds timeout, Done done);

  [[nodiscard]] int fd() const { return fd_.get(); }
  /// What to poll for.
  [[nodiscard]] short events() const;
  /// The first deadline of what is waited for; Clock::time_point::max() when nothing is.
  [[nodiscard]] Clock::time_point deadline() const;
  /// After poll(2), and when the deadline has passed. False: the connection is over, every `done` was called.
  bool work(short ready);
  [[nodiscard]] bool is_idle() const { return waiting_.empty(); }

 private:
  explicit Channel(UniqueFd fd) : fd_(std::move(fd)) {}
  bool send();
  bool receive();
  void end(const Error& why);
  bool take(std::string_view line);

  struct Waiting {
    std::int64_t id = 0;
    Clock::time_point deadline;
    Done done;
  };
  UniqueFd fd_;
  std::string out_;
  std::string in_;
  std::size_t searched_ = 0;
  std::int64_t last_id_ = 0;
  std::deque<Waiting> waiting_;
};

}  // namespace bot_bottle::desk
