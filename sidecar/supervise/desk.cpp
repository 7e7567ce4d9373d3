#include "sidecar/supervise/desk.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/clock.hpp"
#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "core/supervise/recipe.hpp"

namespace bot_bottle::supervise {
namespace {

using std::chrono::milliseconds;
constexpr std::size_t max_answer_octets = std::size_t{850} << 10;  // a line of the control channel is 1 MiB
constexpr std::size_t max_settled = 100;
constexpr std::size_t max_words = std::size_t{16} << 10;
constexpr std::size_t max_watchers = 16;
constexpr std::int64_t max_watch_ms = 30'000;
constexpr std::int64_t max_seconds = std::int64_t{30} * 24 * 3600;

Result<std::string> words(const json::object& arguments, std::string_view key) {
  std::string text = get_string(arguments, key);
  if (text.size() > max_words) return fail(ErrorKind::invalid_argument, fmt::format("'{}' is too long", key));
  return text;
}

/// {"once": true}, or one of seconds, requests, bytes.
Result<json::object> read_narrow(const json::object& arguments) {
  const json::value* given = arguments.if_contains("narrow");
  if (given == nullptr || given->is_null()) return json::object{};
  const json::object* narrow = given->if_object();
  const auto bad = [] {
    return fail(ErrorKind::invalid_argument, "'narrow' is not understood",
                "one of {\"once\": true}, {\"seconds\": N}, {\"requests\": N}, {\"bytes\": N}");
  };
  if (narrow == nullptr || narrow->size() > 1) return bad();
  if (narrow->empty()) return json::object{};
  const auto& [key, value] = *narrow->begin();
  if (key == "once") {
    if (!value.is_bool() || !value.as_bool()) return bad();
    return *narrow;
  }
  if (key != "seconds" && key != "requests" && key != "bytes") return bad();
  if (!value.is_int64() || value.as_int64() < 1 || (key == "seconds" && value.as_int64() > max_seconds)) return bad();
  return *narrow;
}

bool is_settled(State state) {
  return state == State::applied || state == State::rejected || state == State::expired;
}

}  // namespace

struct Desk::Watcher {
  Watcher(net::Loop& loop, std::uint64_t the_seen, Reply the_reply, std::function<void(Watcher*)> on_due)
      : seen(the_seen), reply(std::move(the_reply)), timer(loop, [this, due = std::move(on_due)] { due(this); }) {}
  std::uint64_t seen;
  Reply reply;
  net::Timer timer;
};

Desk::Desk(DeskParts parts)
    : parts_(std::move(parts)),
      soon_(parts_.loop, [this] { answer_watchers(); }),
      grants_timer_(parts_.loop, [this] { end_due_grants(); }),
      told_timer_(parts_.loop, [this] { write_told(); }) {
  // Not at once: what the record is about is not done yet, and a watcher must never see half of it.
  parts_.journal.set_on_record([this] { soon_.set(milliseconds(0)); });
  parts_.house.grants.set_on_spent([this](egress::Grant& grant) { return on_spent(grant); });
}

Desk::~Desk() {
  parts_.journal.set_on_record({});
  parts_.house.grants.set_on_spent({});
  parts_.house.grants.set({});
}

void Desk::log(std::string_view name, const Proposal& proposal, std::string_view reason) const {
  egress::Event event;
  event.kind = "supervise";
  event.event = name;
  event.reason = reason;
  event.where = proposal.id;
  event.rule = proposal.kind;
  parts_.house.log.write(event);
}

/// What the change would change, as it is now. A hash over it is what an approval names.
json::value Desk::live_of(std::string_view kind, const json::object& change) const {
  if (kind == egress_block) return policy::live_route(standing_, get_string(change, "host"));
  if (kind == capability_block) return recorded_recipe(recipe_directory);
  return nullptr;
}

/// A proposal whose live state has moved gets another hash: who saw the old one is refused, and sees it again (K3).
void Desk::refresh() {
  std::vector<std::pair<std::string, json::value>> moved;
  for (const Proposal& proposal : parts_.journal.all()) {
    if (proposal.state != State::pending) continue;
    json::value live = live_of(proposal.kind, proposal.change);
    if (live != proposal.live) moved.emplace_back(proposal.id, std::move(live));
  }
  for (auto& [id, live] : moved) {
    if (const auto written = parts_.journal.move(id, std::move(live)); !written)
      log("journal_failed", *parts_.journal.find(id), written.error().message);
  }
}

json::object Desk::describe(const Proposal& proposal) const {
  json::object out = to_json(proposal);
  out["details"] = proposal.facts;
  out["facts"] = facts_of(proposal);
  json::array choices;
  if (const json::array* given = find_array(proposal.change, "choices")) choices = *given;
  out["choices"] = std::move(choices);
  if (proposal.state == State::pending) {
    const Diff diff = diff_of(proposal.kind, proposal.change);
    out["diff"] = {{"before", diff.before}, {"after", diff.after}};
  }
  // What is left to do on the operator's side: end the bottle, so that `resume` builds its new image.
  if (proposal.kind == capability_block && proposal.state == State::applied) out["then"] = "stop";
  return out;
}

/// Pending ones first, oldest first; then the newest of the others.
json::object Desk::list() {
  refresh();
  json::array out;
  std::size_t octets = 0;
  std::size_t left_off = 0;
  std::size_t settled = 0;
  const auto add = [&](const Proposal& proposal) {
    json::object one = describe(proposal);
    const std::size_t size = json::serialize(one).size();
    if (octets + size > max_answer_octets) {
      ++left_off;
      return;
    }
    octets += size;
    out.push_back(std::move(one));
  };
  const std::vector<Proposal>& all = parts_.journal.all();
  for (const Proposal& proposal : all)
    if (proposal.state == State::pending) add(proposal);
  for (auto it = all.rbegin(); it != all.rend() && settled < max_settled; ++it) {
    if (it->state == State::pending) continue;
    ++settled;
    add(*it);
  }
  // Whoever approved it ends the bottle; should that one die before, the next look says so.
  return {
      {"seq", parts_.journal.seq()}, {"proposals", std::move(out)}, {"left_off", left_off}, {"stop_due", stop_due_}};
}

void Desk::watch(const json::object& arguments, Reply reply) {
  const std::int64_t seen = get_int(arguments, "seen", -1);
  const std::int64_t timeout =
      std::clamp<std::int64_t>(get_int(arguments, "timeout_ms", max_watch_ms), 0, max_watch_ms);
  if (watchers_.size() >= max_watchers) {
    reply(fail(ErrorKind::unavailable, "too many watch already"));
    return;
  }
  if (seen < 0 || parts_.journal.seq() > static_cast<std::uint64_t>(seen) || timeout == 0) {
    reply(list());
    return;
  }
  watchers_.push_back(
      std::make_unique<Watcher>(parts_.loop, static_cast<std::uint64_t>(seen), std::move(reply), [this](Watcher* due) {
        const auto found = std::ranges::find(watchers_, due, &std::unique_ptr<Watcher>::get);
        if (found == watchers_.end()) return;
        const std::unique_ptr<Watcher> watcher = std::move(*found);
        watchers_.erase(found);
        watcher->reply(list());
      }));
  watchers_.back()->timer.set(milliseconds(timeout));
}

void Desk::answer_watchers() {
  for (auto it = watchers_.begin(); it != watchers_.end();) {
    if (parts_.journal.seq() <= (*it)->seen) {
      ++it;
      continue;
    }
    const std::unique_ptr<Watcher> watcher = std::move(*it);
    it = watchers_.erase(it);
    watcher->reply(list());
  }
}

json::object Desk::decisions(const json::object& arguments) const {
  const std::int64_t after = get_int(arguments, "after", 0);
  json::array out;
  std::size_t octets = 0;
  bool more = false;
  for (const Entry& entry : parts_.journal.entries()) {
    if (after >= 0 && entry.seq <= static_cast<std::uint64_t>(after)) continue;
    json::object one = to_json(entry);
    octets += json::serialize(one).size();
    // At least one an answer: no entry is larger than a line may be.
    if (octets > max_answer_octets && !out.empty()) {
      more = true;
      break;
    }
    out.push_back(std::move(one));
  }
  return {{"decisions", std::move(out)}, {"more", more}, {"seq", parts_.journal.seq()}};
}

/// What an operator made of a change is held to what the kind can be; `change` becomes its one spelling.
Result<void> Desk::check_change(std::string_view kind, json::object& change, const Proposal& asked) const {
  if (kind == egress_block) {
    BB_TRY(const policy::Route route, policy::parse_asked_route(change));
    change = policy::asked_json(route);
    return {};
  }
  if (kind == capability_block) {
    BB_TRY(change, parse_recipe(change));
    return {};
  }
  if (kind == git_allow) {
    const std::vector<std::string> all = get_strings(asked.change, "fingerprints");
    const std::vector<std::string> chosen = get_strings(change, "fingerprints");
    const bool inside = !chosen.empty() && std::ranges::all_of(chosen, [&](const std::string& one) {
      return std::ranges::find(all, one) != all.end();
    });
    if (!inside || get_string(change, "repo") != get_string(asked.change, "repo"))
      return fail(ErrorKind::invalid_argument, "only some of the proposal's own fingerprints can be allowed instead");
    change = {{"repo", get_string(change, "repo")}, {"fingerprints", to_array(chosen)}};
    return {};
  }
  return fail(ErrorKind::invalid_argument, fmt::format("'{}' cannot be modified: answer it, or reject it", kind));
}

/// Puts an approval into force. May be called again for one that was: after a crash nobody knows.
Result<void> Desk::apply(const Proposal& proposal) {
  if (proposal.kind == egress_block) return apply_route(proposal);
  if (proposal.kind == capability_block) return record_recipe(recipe_directory, proposal.change);
  if (proposal.kind == ask_operator) return {};
  if (proposal.kind == git_allow && parts_.gate.apply) return parts_.gate.apply(proposal);
  return fail(ErrorKind::unsupported, fmt::format("nothing here can apply '{}'", proposal.kind));
}

/// On disk before it is put into force, and in force before the agent hears of it (spec 06, Queue).
Result<Proposal> Desk::decide(const Proposal& asked, Answer answer) {
  const bool approve = answer.decision != Decision::reject && answer.decision != Decision::expire;
  const std::string id = asked.id;
  BB_TRY(Proposal proposal, parts_.journal.answer(id, std::move(answer)));
  std::optional<std::string> fault;
  if (approve) {
    if (const Result<void> applied = apply(proposal); !applied) fault = applied.error().message;
    BB_CHECK(parts_.journal.settle(id, fault));
    proposal = *parts_.journal.find(id);
    if (proposal.kind == capability_block && !fault) stop_due_ = true;
  }
  log(fault ? "proposal_failed" : approve ? "proposal_applied" : "proposal_rejected", proposal, proposal.reason);
  refresh();
  if (!fault) notify(proposal);
  return *parts_.journal.find(id);
}

void Desk::notify(const Proposal& proposal) {
  if (parts_.gate.on_answer) parts_.gate.on_answer(proposal);
  const auto [begin, end] = waiters_.equal_range(proposal.id);
  std::vector<Waiter*> all;
  for (auto it = begin; it != end; ++it) all.push_back(it->second);
  waiters_.erase(proposal.id);
  for (Waiter* waiter : all) waiter->on_answer(proposal);
}

Result<json::object> Desk::answer(const json::object& arguments) {
  BB_TRY(const std::string id, need_string(arguments, "proposal"));
  BB_TRY(const std::string decision, need_string(arguments, "decision"));
  BB_TRY(const std::string hash, need_string(arguments, "hash"));
  Answer answer;
  answer.hash = hash;
  BB_TRY(answer.reason, words(arguments, "reason"));
  BB_TRY(answer.by, words(arguments, "by"));
  BB_TRY(answer.text, words(arguments, "text"));
  BB_TRY(answer.narrow, read_narrow(arguments));
  refresh();
  const Proposal* found = parts_.journal.find(id);
  if (found == nullptr) return fail(ErrorKind::not_found, fmt::format("no proposal '{}'", id.substr(0, 32)));
  const Proposal asked = *found;
  if (decision == "reject") {
    answer.narrow = {};
    answer.decision = Decision::reject;
  } else if (decision == "approve") {
    answer.decision = Decision::approve;
  } else if (decision == "modify") {
    const json::object* change = find_object(arguments, "change");
    if (change == nullptr) return fail(ErrorKind::invalid_argument, "'modify' needs the 'change' to approve instead");
    answer.decision = Decision::modify;
    answer.change = *change;
    BB_CHECK(check_change(asked.kind, *answer.change, asked));
    answer.live = live_of(asked.kind, *answer.change);
  } else {
    return fail(ErrorKind::invalid_argument,
                fmt::format("the decision '{}' is not approve, modify or reject", decision));
  }
  if (!answer.narrow.empty() && asked.kind != egress_block)
    return fail(ErrorKind::invalid_argument, fmt::format("an approval of '{}' cannot be narrowed", asked.kind));
  if (answer.decision == Decision::approve && asked.kind == ask_operator && trim(answer.text).empty())
    return fail(ErrorKind::invalid_argument, "the agent waits for words: an approval of a question needs a 'text'");
  if (answer.decision != Decision::reject) {
    Diff diff = diff_of(asked.kind, answer.change ? *answer.change : asked.change);
    answer.before = std::move(diff.before);
    answer.after = std::move(diff.after);
  }
  BB_TRY(const Proposal settled, decide(asked, std::move(answer)));
  if (settled.state == State::pending) return fail(ErrorKind::failed_precondition, settled.reason);
  return describe(settled);
}

Result<Proposal> Desk::ask(std::string_view kind, json::object change, std::string justification, json::object facts) {
  // What was said in an earlier turn has left: who asks again asks anew.
  write_told();
  // Answered while nobody listened: the same question hears it now.
  if (const Proposal* before = parts_.journal.find_change(kind, change);
      before != nullptr && is_settled(before->state) && !before->told && before->decision != "auto")
    return *before;
  json::value live = live_of(kind, change);
  const std::uint64_t seq = parts_.journal.seq();
  BB_TRY(Proposal proposal, parts_.journal.propose(std::string(kind), std::move(change), std::move(facts),
                                                   std::move(justification), std::move(live)));
  if (proposal.seq > seq) log("proposed", proposal, proposal.justification.substr(0, 200));
  if (kind != egress_block || proposal.state != State::pending) return proposal;
  const auto route = policy::parse_asked_route(proposal.change);
  if (!route || !is_automatic(*route)) return proposal;
  refresh();
  Diff diff = diff_of(kind, proposal.change);
  return decide(proposal, {.decision = Decision::automatic,
                           .hash = parts_.journal.find(proposal.id)->hash,
                           .reason = "allowed by the bottle's auto rules",
                           .by = "auto",
                           .change = std::nullopt,
                           .live = nullptr,
                           .text = {},
                           .narrow = {},
                           .before = std::move(diff.before),
                           .after = std::move(diff.after)});
}

void Desk::attach(const std::string& id, Waiter* waiter) {
  waiters_.emplace(id, waiter);
}

void Desk::detach(Waiter* waiter) {
  std::erase_if(waiters_, [waiter](const auto& entry) { return entry.second == waiter; });
}

/// Not yet: what was written to the agent leaves at the end of this turn, and is not told before (crash_test.py).
void Desk::tell(const std::string& id) {
  told_.push_back(id);
  told_timer_.set(milliseconds(0));
}

void Desk::write_told() {
  for (const std::string& id : std::exchange(told_, {})) {
    if (const auto told = parts_.journal.tell(id); !told) {
      if (const Proposal* proposal = parts_.journal.find(id)) log("journal_failed", *proposal, told.error().message);
    }
  }
}

}  // namespace bot_bottle::supervise
