// Where what agents ask and what operators answer meets: proposals against the live state, approvals put into force,
// and taken back when they end (spec 06). Owns the standing routes. Called by the control channel (operator) and by the
// MCP server (agent). Hostile input: the changes that are asked for, already parsed and bounded by their kind.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/policy/asked_route.hpp"
#include "core/policy/packs.hpp"
#include "core/supervise/journal.hpp"
#include "sidecar/egress/house.hpp"
#include "sidecar/egress/proxy.hpp"
#include "sidecar/net/timer.hpp"

namespace bot_bottle::supervise {

inline constexpr std::string_view egress_block = "egress-block";
inline constexpr std::string_view capability_block = "capability-block";
inline constexpr std::string_view git_allow = "git-allow";
inline constexpr std::string_view ask_operator = "ask-operator";

/// What git-gate does with an answer; empty where there is no gate.
struct GateHooks {
  std::function<Result<void>(const Proposal& proposal)> apply;
  std::function<void(const Proposal& proposal)> on_answer;
};

struct DeskParts {
  net::Loop& loop;
  egress::House& house;
  egress::Proxy& proxy;
  Journal& journal;
  GateHooks gate;
  std::vector<policy::PackUse> automatic;  // packs whose routes need no operator
};

/// Somebody who waits for an answer. Detached before it dies.
class Waiter {
 public:
  virtual ~Waiter() = default;
  /// Applied, rejected or expired; not called while the proposal is pending.
  virtual void on_answer(const Proposal& proposal) = 0;
};

class Desk {
 public:
  using Reply = std::function<void(Result<json::object>)>;

  explicit Desk(DeskParts parts);
  Desk(const Desk&) = delete;
  Desk& operator=(const Desk&) = delete;
  ~Desk();

  /// Puts into force what an earlier life decided, finishes what was approved and not applied, and ends what it cannot
  /// know the rest of. `configured` is in force already.
  Result<void> start(policy::Egress configured);

  // The operator's calls (docs/internals.md).
  json::object list();
  void watch(const json::object& arguments, Reply reply);
  Result<json::object> answer(const json::object& arguments);
  [[nodiscard]] json::object decisions(const json::object& arguments) const;
  [[nodiscard]] json::object routes() const;
  /// Refused where a credential would reach further, unless `credentials` says that it may.
  Result<json::object> set_routes(const json::object& arguments);
  /// Routes from the operator's file; approvals stay. Error: the old ones stay in force. Refused where a credential
  /// would reach further: a file has no word that allows it.
  Result<void> use_base(policy::Egress base);

  // The agent's.
  /// A new proposal, the same one that is pending, or the one that was answered and not heard of. Errors: refused
  /// ("rate limited"), invalid_argument, failed_precondition: nothing to ask for.
  Result<Proposal> ask(std::string_view kind, json::object change, std::string justification, json::object facts);
  void attach(const std::string& id, Waiter* waiter);
  void detach(Waiter* waiter);
  /// The agent has been given the answer.
  void tell(const std::string& id);
  [[nodiscard]] const policy::Egress& standing() const { return standing_; }
  [[nodiscard]] const Journal& journal() const { return parts_.journal; }
  [[nodiscard]] egress::House& house() { return parts_.house; }

 private:
  struct Diff {
    std::string before;
    std::string after;
  };
  struct Watcher;

  // desk.cpp
  json::object describe(const Proposal& proposal) const;
  [[nodiscard]] json::value live_of(std::string_view kind, const json::object& change) const;
  void refresh();
  Result<void> check_change(std::string_view kind, json::object& change, const Proposal& asked) const;
  Result<void> apply(const Proposal& proposal);
  Result<Proposal> decide(const Proposal& proposal, Answer answer);
  void notify(const Proposal& proposal);
  void answer_watchers();
  void write_told();
  void log(std::string_view event, const Proposal& proposal, std::string_view reason) const;

  // desk_facts.cpp
  [[nodiscard]] Diff diff_of(std::string_view kind, const json::object& change) const;
  [[nodiscard]] json::array facts_of(const Proposal& proposal) const;
  void add_blocked(const policy::Route& asked, json::array& facts) const;

  // desk_routes.cpp
  Result<void> apply_route(const Proposal& proposal);
  Result<void> add_grant(const Proposal& proposal, const policy::Route& asked);
  [[nodiscard]] policy::Egress standing_with(const policy::Egress& base) const;
  Result<void> use_standing(policy::Egress standing);
  bool on_spent(egress::Grant& grant);
  void end_due_grants();
  void end_grant(const std::string& id, std::string reason);
  void write_routes_file() const;
  enum class CredentialReach : std::uint8_t { stays, may_grow };
  [[nodiscard]] Result<void> check_credentials(const policy::Egress& edited, CredentialReach reach) const;
  [[nodiscard]] bool is_automatic(const policy::Route& asked) const;
  Result<void> restore(const Proposal& proposal);

  DeskParts parts_;
  policy::Egress configured_;
  policy::Egress base_;                 // the operator's
  std::vector<std::string> approvals_;  // proposals merged into it, in order
  policy::Egress standing_;             // what that makes
  std::vector<std::shared_ptr<egress::Grant>> grants_;
  std::list<std::unique_ptr<Watcher>> watchers_;
  std::unordered_multimap<std::string, Waiter*> waiters_;
  net::Timer soon_;  // watchers are answered after the turn that wrote the record
  net::Timer grants_timer_;
  net::Timer told_timer_;
  std::vector<std::string> told_;
  bool stop_due_ = false;  // a new image was approved in this life, and the bottle still runs on the old one
};

}  // namespace bot_bottle::supervise
