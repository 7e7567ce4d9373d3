// Proposals and answers, durable. One journal per bottle, one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::supervise {

enum class State : std::uint8_t { pending, approved, modified, rejected, expired, applied, failed };
std::string_view name_of(State state);

struct Proposal {
  std::string id;             // eight characters, unlikely to be another bottle's
  std::string kind;           // "git-allow", "egress-block", …
  json::object change;        // exactly what would be applied
  json::value live;           // exactly what it would change, as it is now; null: nothing that can move
  json::object facts;         // computed for the operator, not the agent's words
  std::string justification;  // the agent's words
  std::string hash;           // of kind, change and live
  State state = State::pending;
  std::uint64_t seq = 0;  // of the last record about it
  std::string reason;     // of the operator's answer, or why applying failed
  std::string by;         // the operator
  std::string decision;   // "approve", …; empty while pending
  std::string answer;     // the operator's words for an agent that asked
  json::object narrow;    // {"once": true}, {"seconds": 60}, …; empty: for good
  bool told = false;      // the agent has heard how it ended
  std::int64_t proposed_at_ms = 0;
  std::int64_t answered_at_ms = 0;
};
json::object to_json(const Proposal& proposal);

enum class Decision : std::uint8_t { approve, modify, reject, expire, automatic };

/// What is decided, and what was looked at.
struct Answer {
  Decision decision = Decision::reject;
  std::string hash;  // must be the proposal's
  std::string reason;
  std::string by;
  std::optional<json::object> change;  // with Decision::modify: in place of the proposal's
  json::value live;                    // and what that would change
  std::string text;                    // Proposal::answer
  json::object narrow;
  std::string before;  // what changes, as a person reads it
  std::string after;
};

/// One thing that was decided or done, in the order in which it was.
struct Entry {
  std::uint64_t seq = 0;
  std::int64_t at_ms = 0;
  std::string proposal;  // empty: an edit of the operator's
  std::string kind;
  std::string decision;  // approve, modify, reject, auto, apply, fail, expire, edit
  std::string by;
  std::string reason;
  std::string before;
  std::string after;
  json::object narrow;
  json::object edited;  // of an edit: the whole document that was put into force
};
json::object to_json(const Entry& entry);

/// Where a test ends the process: around the writing of record `seq`. 0: nowhere.
struct KillPoint {
  std::uint64_t seq = 0;
  enum class When : std::uint8_t { before, after };
  When when = When::after;
};

/// How much an agent may ask (spec 06).
struct JournalLimits {
  std::size_t pending = 20;
  std::size_t an_hour = 60;
  std::size_t proposal_octets = std::size_t{256} << 10;
};

class Journal {
 public:
  /// Opens `directory/journal.jsonl`, made when absent, and reads what is in it. A torn last line is cut off; any other
  /// damage is an error: what was decided must not be guessed.
  static Result<Journal> open(const std::filesystem::path& directory, JournalLimits limits = {});

  /// Durable on return. The same change that is still pending is the same proposal. `live` is what it would change.
  /// Errors: refused when there are too many ("rate limited").
  Result<Proposal> propose(std::string kind, json::object change, json::object facts, std::string justification,
                           json::value live = nullptr);
  /// What the proposal would change is now `live`: it has another hash, and who looked at the old one is refused.
  Result<void> move(std::string_view id, json::value live);
  /// Durable on return. `answer.hash` must be the proposal's: what was looked at is what is decided on. Errors:
  /// not_found, failed_precondition (answered before, or another hash).
  Result<Proposal> answer(std::string_view id, Answer answer);
  /// The same for what has no diff, no conditions and no words.
  Result<Proposal> answer(std::string_view id, Decision decision, std::string_view hash, std::string reason,
                          std::string by, std::optional<json::object> change = std::nullopt);
  /// After an approval was put into force, or could not be: `fault` is why. A failed one is pending again.
  Result<void> settle(std::string_view id, const std::optional<std::string>& fault);
  /// An approval has come to its end.
  Result<void> expire(std::string_view id, std::string reason, std::string before, std::string after);
  /// The operator put `edited` into force, whatever was asked.
  Result<void> edit(std::string kind, std::string by, json::object edited, std::string before, std::string after);
  /// The agent has been told how it ended: the same question is a new one from here on.
  Result<void> tell(std::string_view id);

  [[nodiscard]] const std::vector<Proposal>& all() const { return proposals_; }
  [[nodiscard]] const Proposal* find(std::string_view id) const;
  /// The newest proposal of this change, in whatever state.
  [[nodiscard]] const Proposal* find_change(std::string_view kind, const json::object& change) const;
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
  /// Grows by one with every record; 0: nothing was ever written.
  [[nodiscard]] std::uint64_t seq() const { return seq_; }
  /// Called after every record.
  void set_on_record(std::function<void()> on_record) { on_record_ = std::move(on_record); }
  void set_kill_point_for_test(KillPoint point) { kill_ = point; }

 private:
  Journal(UniqueFd fd, JournalLimits limits) : fd_(std::move(fd)), limits_(limits) {}
  Result<void> append(const json::object& record);
  Result<void> replay(const json::object& record);
  Result<void> write(const json::object& record);
  Result<void> replay_proposed(const json::object& record);
  Result<void> replay_answered(const json::object& record, Proposal& proposal);
  void note(const json::object& record, std::string_view decision);
  void kill_for_test(KillPoint::When when) const;
  Proposal* find_mutable(std::string_view id);

  UniqueFd fd_;
  JournalLimits limits_;
  std::uint64_t size_ = 0;
  std::uint64_t seq_ = 0;
  std::vector<Proposal> proposals_;
  std::vector<Entry> entries_;
  std::function<void()> on_record_;
  KillPoint kill_;
};

/// The hash that an approval names.
std::string hash_of_change(std::string_view kind, const json::object& change, const json::value& live = nullptr);

}  // namespace bot_bottle::supervise
