// All bottles of a home, live: one connection and one long poll each, in the owner's poll(2) loop. One thread.
#pragma once

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/paths.hpp"
#include "core/desk/channel.hpp"
#include "core/desk/event_tail.hpp"
#include "core/desk/proposal.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::desk {

enum class Presence : std::uint8_t {
  listening,  // its sidecar answers
  silent,     // its sidecar does not answer (any more)
  kept,       // preserved, frozen or stopped: does not run
};

struct Bottle {
  std::string slug;
  std::string name;  // "label (agent)"
  std::string backend;
  std::string status;  // in words
  std::int64_t started_at_ms = 0;
  Presence presence = Presence::silent;
  std::size_t pending = 0;
  bool stop_due = false;  // a new image was approved, and nobody ended it
  std::string complaint;  // why it is not listened to; may be hostile
};

class Watch {
 public:
  using Clock = Channel::Clock;
  explicit Watch(Home home);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  /// Adds what is to be polled; the same number of entries is given back to `work` after poll(2).
  void add_to(std::vector<pollfd>& polled) const;
  [[nodiscard]] Clock::time_point next_look() const;
  void work(const pollfd* polled, std::size_t count);

  /// Grows with each change of what follows.
  [[nodiscard]] std::uint64_t version() const { return version_; }
  /// By slug.
  [[nodiscard]] std::vector<Bottle> bottles() const;
  /// Pending, oldest first.
  [[nodiscard]] std::vector<Proposal> pending() const;
  /// Of all bottles, newest last; bounded.
  [[nodiscard]] const std::deque<Event>& events() const { return events_; }
  /// Complaints about copying decisions to the audit, since the last call.
  [[nodiscard]] std::vector<std::string> take_complaints();

  /// Over a connection of its own, so that it does not wait behind a long poll.
  void call(const std::string& slug, json::object request, std::chrono::milliseconds timeout, Channel::Done done);
  /// Before it goes: copies what was decided and is not in the audit yet. A sidecar that does not answer in time keeps
  /// it for the next look.
  void finish(std::chrono::milliseconds timeout);
  [[nodiscard]] const Home& home() const { return home_; }

 private:
  struct Followed;
  void scan();
  void drop_old_events();
  void follow(Followed& one);
  void begin_poll_if_due(Followed& one);
  void on_proposals(Followed& one, Result<json::object> answer);
  void copy_if_due(Followed& one);
  void copy_decisions(Followed& one);
  void lose(Followed& one);

  Home home_;
  std::map<std::string, std::unique_ptr<Followed>> followed_;
  std::vector<std::unique_ptr<Channel>> calls_;
  std::deque<Event> events_;
  std::vector<std::string> complaints_;
  Clock::time_point next_scan_;
  std::uint64_t version_ = 1;
};

}  // namespace bot_bottle::desk
