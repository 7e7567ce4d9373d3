#include "core/supervise/journal.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/base/clock.hpp"
#include "core/base/file.hpp"
#include "core/base/random.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::supervise {
namespace {

constexpr std::size_t max_journal_octets = std::size_t{64} << 20;
constexpr std::int64_t hour_ms = 3'600'000;
constexpr std::array<std::string_view, 7> state_names{"pending", "approved", "modified", "rejected",
                                                      "expired", "applied",  "failed"};
constexpr std::array<std::string_view, 5> decision_names{"approve", "modify", "reject", "expire", "auto"};

State state_of(Decision decision) {
  switch (decision) {
    case Decision::approve:
    case Decision::automatic:
      return State::approved;
    case Decision::modify:
      return State::modified;
    case Decision::reject:
      return State::rejected;
    case Decision::expire:
      return State::expired;
  }
  return State::rejected;
}

tl::unexpected<Error> damaged(std::string_view why) {
  return fail(ErrorKind::failed_precondition, fmt::format("supervise/journal.jsonl is damaged: {}", why),
              "look at it; the bottle cannot go on with decisions that are lost");
}

}  // namespace

std::string_view name_of(State state) {
  return state_names[static_cast<std::size_t>(state)];
}

std::string hash_of_change(std::string_view kind, const json::object& change, const json::value& live) {
  json::object named{{"kind", kind}, {"change", change}};
  if (!live.is_null()) named["live"] = live;
  return sha256_hex(to_text(named));
}

json::object to_json(const Proposal& proposal) {
  return {{"id", proposal.id},
          {"kind", proposal.kind},
          {"state", name_of(proposal.state)},
          {"seq", proposal.seq},
          {"change", proposal.change},
          {"facts", proposal.facts},
          {"justification", proposal.justification},
          {"hash", proposal.hash},
          {"reason", proposal.reason},
          {"by", proposal.by},
          {"decision", proposal.decision},
          {"answer", proposal.answer},
          {"narrow", proposal.narrow},
          {"proposed_at", format_time(proposal.proposed_at_ms)},
          {"answered_at", proposal.answered_at_ms == 0 ? std::string() : format_time(proposal.answered_at_ms)}};
}

json::object to_json(const Entry& entry) {
  return {{"seq", entry.seq},       {"at", format_time(entry.at_ms)}, {"proposal", entry.proposal},
          {"kind", entry.kind},     {"decision", entry.decision},     {"by", entry.by},
          {"before", entry.before}, {"after", entry.after},           {"reason", entry.reason},
          {"narrow", entry.narrow}};
}

Result<Journal> Journal::open(const std::filesystem::path& directory, JournalLimits limits) {
  BB_CHECK(make_directories(directory));
  const std::string path = (directory / "journal.jsonl").string();
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail(error_from_errno(path, errno));
  BB_TRY(std::string text, read_all(fd.get(), max_journal_octets));
  Journal journal(std::move(fd), limits);
  const std::size_t end = text.rfind('\n');
  const std::size_t whole = end == std::string::npos ? 0 : end + 1;
  // Nobody was told of a line that was not on disk as a whole.
  if (whole != text.size() && ::ftruncate(journal.fd_.get(), static_cast<off_t>(whole)) != 0)
    return fail(error_from_errno(path, errno));
  journal.size_ = whole;
  for (const std::string_view line : split(std::string_view(text).substr(0, whole), '\n')) {
    if (line.empty()) continue;
    auto record = parse_json_object(line);
    if (!record) return damaged(record.error().message);
    BB_CHECK(journal.replay(*record));
  }
  // The name of the file itself must survive, too.
  const UniqueFd parent(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent || ::fsync(parent.get()) != 0) return fail(error_from_errno(directory.string(), errno));
  return journal;
}

void Journal::note(const json::object& record, std::string_view decision) {
  Entry entry;
  entry.seq = seq_;
  entry.at_ms = get_int(record, "time_ms", 0);
  entry.proposal = get_string(record, "id");
  entry.kind = get_string(record, "kind");
  entry.decision = decision;
  entry.by = get_string(record, "by");
  entry.reason = get_string(record, "reason");
  entry.before = get_string(record, "before");
  entry.after = get_string(record, "after");
  if (const json::object* narrow = find_object(record, "narrow")) entry.narrow = *narrow;
  if (const json::object* edited = find_object(record, "edited")) entry.edited = *edited;
  if (const Proposal* proposal = find(entry.proposal)) {
    entry.kind = proposal->kind;
    if (entry.by.empty()) entry.by = proposal->by;
  }
  entries_.push_back(std::move(entry));
}

Result<void> Journal::replay_proposed(const json::object& record) {
  Proposal proposal;
  proposal.id = get_string(record, "id");
  proposal.kind = get_string(record, "kind");
  if (const json::object* change = find_object(record, "change")) proposal.change = *change;
  if (const json::value* live = record.if_contains("live")) proposal.live = *live;
  if (const json::object* facts = find_object(record, "facts")) proposal.facts = *facts;
  proposal.justification = get_string(record, "justification");
  proposal.proposed_at_ms = get_int(record, "time_ms", 0);
  proposal.seq = seq_;
  proposal.hash = hash_of_change(proposal.kind, proposal.change, proposal.live);
  if (proposal.id.empty() || proposal.hash != get_string(record, "hash"))
    return damaged("a proposal is not what it was");
  proposals_.push_back(std::move(proposal));
  return {};
}

Result<void> Journal::replay_answered(const json::object& record, Proposal& proposal) {
  const std::string decision = get_string(record, "decision");
  const auto found = std::ranges::find(decision_names, decision);
  if (found == decision_names.end()) return damaged("a decision is unknown");
  proposal.state = state_of(static_cast<Decision>(found - decision_names.begin()));
  proposal.decision = decision;
  proposal.reason = get_string(record, "reason");
  proposal.by = get_string(record, "by");
  proposal.answer = get_string(record, "text");
  proposal.narrow = {};
  if (const json::object* narrow = find_object(record, "narrow")) proposal.narrow = *narrow;
  proposal.answered_at_ms = get_int(record, "time_ms", 0);
  if (const json::object* change = find_object(record, "change")) {
    proposal.change = *change;
    const json::value* live = record.if_contains("live");
    proposal.live = live == nullptr ? json::value() : *live;
    proposal.hash = hash_of_change(proposal.kind, proposal.change, proposal.live);
  }
  note(record, decision);
  return {};
}

/// What a record means; for one that was just written and for one of an earlier life alike.
Result<void> Journal::replay(const json::object& record) {
  ++seq_;
  const std::string what = get_string(record, "record");
  if (what == "proposed") return replay_proposed(record);
  if (what == "edited") {
    note(record, "edit");
    return {};
  }
  const std::string id = get_string(record, "id");
  Proposal* proposal = find_mutable(id);
  if (proposal == nullptr) return damaged(fmt::format("there is no proposal '{}'", id));
  proposal->seq = seq_;
  if (what == "answered") return replay_answered(record, *proposal);
  if (what == "moved") {
    const json::value* live = record.if_contains("live");
    proposal->live = live == nullptr ? json::value() : *live;
    proposal->hash = hash_of_change(proposal->kind, proposal->change, proposal->live);
  } else if (what == "applied") {
    proposal->state = State::applied;
    note(record, "apply");
  } else if (what == "failed") {
    proposal->state = State::pending;
    proposal->decision.clear();
    proposal->narrow = {};
    proposal->reason = get_string(record, "reason");
    note(record, "fail");
  } else if (what == "expired") {
    proposal->state = State::expired;
    proposal->reason = get_string(record, "reason");
    note(record, "expire");
  } else if (what == "told") {
    proposal->told = true;
  } else {
    return damaged(fmt::format("a record is '{}'", what));
  }
  return {};
}

/// Durable, then in force in memory.
Result<void> Journal::write(const json::object& record) {
  BB_CHECK(append(record));
  BB_CHECK(replay(record));
  if (on_record_) on_record_();
  return {};
}

void Journal::kill_for_test(KillPoint::When when) const {
  if (kill_.seq == seq_ + 1 && kill_.when == when) ::kill(::getpid(), SIGKILL);
}

Result<void> Journal::append(const json::object& record) {
  kill_for_test(KillPoint::When::before);
  const std::string line = to_text(record) + "\n";
  if (size_ + line.size() > max_journal_octets)
    return fail(ErrorKind::failed_precondition, "supervise/journal.jsonl is full", "end this bottle");
  auto written = write_all(fd_.get(), line);
  if (!written || ::fdatasync(fd_.get()) != 0) {
    Error error = written ? error_from_errno("supervise/journal.jsonl", errno) : std::move(written.error());
    // Half a line, or one that may not be on disk, must not be read as a decision later.
    if (::ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0) error.details = "and it could not be taken back";
    return fail(std::move(error));
  }
  size_ += line.size();
  kill_for_test(KillPoint::When::after);
  return {};
}

const Proposal* Journal::find(std::string_view id) const {
  const auto found = std::ranges::find(proposals_, id, &Proposal::id);
  return found == proposals_.end() ? nullptr : &*found;
}

Proposal* Journal::find_mutable(std::string_view id) {
  const auto found = std::ranges::find(proposals_, id, &Proposal::id);
  return found == proposals_.end() ? nullptr : &*found;
}

const Proposal* Journal::find_change(std::string_view kind, const json::object& change) const {
  for (auto it = proposals_.rbegin(); it != proposals_.rend(); ++it)
    if (it->kind == kind && it->change == change) return &*it;
  return nullptr;
}

Result<Proposal> Journal::propose(std::string kind, json::object change, json::object facts, std::string justification,
                                  json::value live) {
  std::size_t pending = 0;
  std::size_t recent = 0;
  const std::int64_t now = now_ms();
  for (const Proposal& other : proposals_) {
    if (other.state == State::pending && other.kind == kind && other.change == change) return other;
    pending += other.state == State::pending ? 1 : 0;
    recent += other.proposed_at_ms > now - hour_ms ? 1 : 0;
  }
  if (pending >= limits_.pending || recent >= limits_.an_hour)
    return fail(ErrorKind::refused,
                fmt::format("rate limited: {} proposals are pending, {} were made within the hour", pending, recent));
  std::string id;
  do id = random_base36(8);
  while (find(id) != nullptr);
  json::object record{{"record", "proposed"},
                      {"time_ms", now},
                      {"id", id},
                      {"kind", kind},
                      {"hash", hash_of_change(kind, change, live)},
                      {"change", std::move(change)},
                      {"facts", std::move(facts)},
                      {"justification", std::move(justification)}};
  if (!live.is_null()) record["live"] = std::move(live);
  if (to_text(record).size() > limits_.proposal_octets)
    return fail(ErrorKind::invalid_argument, "the proposal is too large");
  BB_CHECK(write(record));
  return *find(id);
}

Result<void> Journal::move(std::string_view id, json::value live) {
  const Proposal* proposal = find(id);
  if (proposal == nullptr || proposal->state != State::pending || proposal->live == live) return {};
  return write({{"record", "moved"}, {"time_ms", now_ms()}, {"id", proposal->id}, {"live", std::move(live)}});
}

Result<Proposal> Journal::answer(std::string_view id, Answer answer) {
  Proposal* proposal = find_mutable(id);
  if (proposal == nullptr) return fail(ErrorKind::not_found, fmt::format("no proposal '{}'", id.substr(0, 32)));
  if (proposal->state != State::pending)
    return fail(ErrorKind::failed_precondition,
                fmt::format("the proposal '{}' is {} already", id, name_of(proposal->state)));
  // Approve X, apply Y (attack K3): the hash is what the operator saw.
  if (answer.hash != proposal->hash)
    return fail(ErrorKind::failed_precondition,
                fmt::format("the proposal '{}' is not what you looked at: what it would change has moved", id),
                "bot-bottle supervise --once");
  json::object record{{"record", "answered"},
                      {"time_ms", now_ms()},
                      {"id", proposal->id},
                      {"decision", decision_names[static_cast<std::size_t>(answer.decision)]},
                      {"reason", std::move(answer.reason)},
                      {"by", std::move(answer.by)}};
  if (!answer.text.empty()) record["text"] = std::move(answer.text);
  if (!answer.narrow.empty()) record["narrow"] = std::move(answer.narrow);
  if (!answer.before.empty() || !answer.after.empty()) {
    record["before"] = std::move(answer.before);
    record["after"] = std::move(answer.after);
  }
  if (answer.decision == Decision::modify && answer.change) {
    record["change"] = std::move(*answer.change);
    record["live"] = std::move(answer.live);
  }
  const std::string found = proposal->id;
  BB_CHECK(write(record));
  return *find(found);
}

Result<Proposal> Journal::answer(std::string_view id, Decision decision, std::string_view hash, std::string reason,
                                 std::string by, std::optional<json::object> change) {
  return answer(id, {.decision = decision,
                     .hash = std::string(hash),
                     .reason = std::move(reason),
                     .by = std::move(by),
                     .change = std::move(change)});
}

Result<void> Journal::settle(std::string_view id, const std::optional<std::string>& fault) {
  const Proposal* proposal = find(id);
  if (proposal == nullptr || (proposal->state != State::approved && proposal->state != State::modified))
    return fail(ErrorKind::failed_precondition, fmt::format("the proposal '{}' is not approved", id.substr(0, 32)));
  json::object record{{"record", fault ? "failed" : "applied"}, {"time_ms", now_ms()}, {"id", proposal->id}};
  if (fault) record["reason"] = *fault;
  return write(record);
}

Result<void> Journal::expire(std::string_view id, std::string reason, std::string before, std::string after) {
  const Proposal* proposal = find(id);
  if (proposal == nullptr || proposal->state != State::applied)
    return fail(ErrorKind::failed_precondition, fmt::format("the proposal '{}' is not applied", id.substr(0, 32)));
  return write({{"record", "expired"},
                {"time_ms", now_ms()},
                {"id", proposal->id},
                {"reason", std::move(reason)},
                {"before", std::move(before)},
                {"after", std::move(after)}});
}

Result<void> Journal::edit(std::string kind, std::string by, json::object edited, std::string before,
                           std::string after) {
  return write({{"record", "edited"},
                {"time_ms", now_ms()},
                {"kind", std::move(kind)},
                {"by", std::move(by)},
                {"edited", std::move(edited)},
                {"before", std::move(before)},
                {"after", std::move(after)}});
}

Result<void> Journal::tell(std::string_view id) {
  const Proposal* proposal = find(id);
  if (proposal == nullptr || proposal->told || proposal->state == State::pending) return {};
  return write({{"record", "told"}, {"time_ms", now_ms()}, {"id", proposal->id}});
}

}  // namespace bot_bottle::supervise
