// One push on the loop: refreshed → checked → (asked) → forwarded → told. README.md has the state machine.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "sidecar/git_gate/client.hpp"
#include "sidecar/git_gate/push_check.hpp"
#include "sidecar/git_gate/repository.hpp"
#include "sidecar/net/timer.hpp"

namespace bot_bottle::git_gate {

/// Lives in the gate until it is over, also when its client has gone: then nothing is forwarded any more, and what is
/// being forwarded goes to its end.
class Push : public std::enable_shared_from_this<Push> {
 public:
  using Allowed = std::set<std::string, std::less<>>;
  /// What the push needs of the gate.
  struct Owner {
    std::function<const Allowed&(const std::string& repo)> allowed;
    std::function<void(Push*)> on_over;
  };
  Push(GateHouse& house, Repository& repository, Owner owner, PushTask task);
  ~Push();
  Push(const Push&) = delete;
  Push& operator=(const Push&) = delete;

  /// The body is whole. `client` may be null.
  void start(Client* client);
  void client_gone();
  /// The operator has answered `proposal`.
  void on_answer(const supervise::Proposal& proposal);
  /// The sidecar ends: what waits is told so.
  void end_waiting();

 private:
  enum class State : std::uint8_t { refreshing, checking, asking, queued, forwarding, over };
  void check();
  void on_checked();
  void ask();
  /// What git-allow takes, for an agent that reads what git printed (git_allow_test.py).
  void tell_fingerprints();
  void queue_forward();
  void forward();
  void on_forwarded();
  void reject_all(std::string_view reason);
  void report();
  void tell(std::string_view line);
  void send_band(char band, std::string_view bytes);
  void finish();
  void log(std::string_view event, egress::Level level, std::string_view reason) const;

  GateHouse& house_;
  Repository& repository_;
  Owner owner_;
  Client* client_ = nullptr;
  PushTask task_;
  State state_ = State::refreshing;
  std::vector<std::string> reasons_;  // why not, as request.updates; empty: taken
  std::string unpack_ = "ok";
  std::string proposal_;
  std::unique_ptr<Job> job_;
  net::Timer keep_alive_;
  net::Timer wait_;
};

}  // namespace bot_bottle::git_gate
