#include "sidecar/git_gate/push.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/file.hpp"
#include "core/base/secret.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "sidecar/git_gate/pkt_line.hpp"

namespace bot_bottle::git_gate {
namespace {

constexpr std::size_t told_findings = 20;
constexpr std::size_t told_remote_lines = 50;
constexpr std::size_t widest = 300;

/// Reasons stand in one line of a report, in parentheses.
std::string one_line(std::string_view text) {
  return escape_untrusted(text, widest);
}

std::string where_of(const PushFinding& finding) {
  std::string file = finding.file;
  if (file.starts_with('/')) {
    file.erase(0, 1);
    std::ranges::replace(file, '-', ' ');
  }
  return fmt::format("{}:{}", file, finding.line);
}

}  // namespace

Push::Push(GateHouse& house, Repository& repository, Owner owner, PushTask task)
    : house_(house),
      repository_(repository),
      owner_(std::move(owner)),
      task_(std::move(task)),
      keep_alive_(house.loop,
                  [this] {
                    // receive-pack's own way to show that it lives: an empty packet of band 1.
                    if (client_ != nullptr && task_.request.side_band) client_->write(std::string_view("0005\x01", 5));
                    keep_alive_.set(house_.bounds.keep_alive);
                  }),
      wait_(house.loop, [this] {
        if (state_ != State::asking) return;
        tell("nobody answered in time; the proposal stays: push again once it is approved");
        tell_fingerprints();
        reject_all("secrets found");
      }) {
  ++house_.pushes;
}

Push::~Push() {
  job_.reset();
  (void)remove_tree(task_.directory);
  --house_.pushes;
}

void Push::start(Client* client) {
  client_ = client;
  if (client_ != nullptr) client_->begin("application/x-git-receive-pack-result");
  keep_alive_.set(house_.bounds.keep_alive);
  const std::weak_ptr<Push> weak = weak_from_this();
  repository_.fresh(weak, [this](const Error* fault) {
    if (state_ != State::refreshing) return;
    if (fault != nullptr) {
      tell(fault->message);
      if (!fault->hint.empty()) tell(fault->hint);
      reject_all("the upstream cannot be reached");
      return;
    }
    check();
  });
}

void Push::check() {
  state_ = State::checking;
  const policy::GitRepo& repo = repository_.repo();
  task_.refs = repository_.refs();
  task_.credentials = repository_.credentials();
  ScanRules& rules = task_.rules;
  rules.rules = repository_.own_rules ? repository_.own_rules : house_.rules;
  rules.secrets = house_.known_secrets;
  rules.allowed = owner_.allowed(repo.name);
  rules.baseline = {repo.scan.baseline.begin(), repo.scan.baseline.end()};
  rules.honour_inline_allow = repo.scan.honour_inline_allow;
  rules.require_signed_off = repo.require_signed_off;
  rules.max_octets = std::max<std::uint64_t>(repo.max_push_bytes * 16, std::uint64_t{1} << 30);
  job_ = std::make_unique<Job>(
      house_.loop, [this](Job::Worker& worker) { check_push(task_, worker); }, nullptr, [this] { on_checked(); });
}

void Push::on_checked() {
  const auto self = shared_from_this();
  job_.reset();
  if (client_ == nullptr) {
    finish();
    return;
  }
  if (task_.fault) {
    if (task_.fault->kind != ErrorKind::cancelled) {
      tell(task_.fault->message);
      if (!task_.fault->hint.empty()) tell(task_.fault->hint);
    }
    unpack_ = one_line(task_.fault->message);
    reject_all(task_.fault->message);
    return;
  }
  if (task_.is_refused()) {
    reasons_.clear();
    for (std::size_t i = 0; i < task_.refusals.size(); ++i) {
      const auto& refusal = task_.refusals[i];
      reasons_.push_back(refusal ? refusal->reason : "another ref of this push was refused");
      if (refusal && !refusal->hint.empty())
        tell(fmt::format("{}: {} ({})", one_line(task_.request.updates[i].name), refusal->reason, refusal->hint));
    }
    const auto first = std::ranges::find_if(task_.refusals, [](const auto& one) { return one.has_value(); });
    log("push_refused", egress::Level::block, (*first)->reason);
    report();
    return;
  }
  log_event(house_, {.event = "push_scanned",
                     .host = repository_.repo().upstream.host,
                     .repo = repository_.repo().name,
                     .octets = task_.totals.octets,
                     .ms = task_.totals.ms});
  if (!task_.findings.empty()) {
    ask();
    return;
  }
  queue_forward();
}

void Push::ask() {
  const std::size_t count = task_.findings.size();
  tell(fmt::format("the push was stopped: {} secret{} in what it adds; nothing of it left", count,
                   count == 1 ? "" : "s"));
  json::array fingerprints;
  json::array facts;
  bool canary = false;
  for (std::size_t i = 0; i < count; ++i) {
    PushFinding& finding = task_.findings[i];
    if (finding.more > 0) finding.snippet += fmt::format(" (and {} more of it on this line)", finding.more);
    fingerprints.push_back(json::string(finding.fingerprint()));
    facts.push_back(json::object{
        {"rule", finding.rule},
        {"commit", finding.commit},
        {"where", where_of(finding)},
        {"encoding", finding.encoding},
        {"snippet", is_valid_utf8(finding.snippet) ? finding.snippet : escape_untrusted(finding.snippet, widest)}});
    log_event(house_, {.event = "push_secret",
                       .level = egress::Level::block,
                       .host = repository_.repo().upstream.host,
                       .repo = repository_.repo().name,
                       .reason = finding.commit,
                       .rule = finding.rule,
                       .where = where_of(finding),
                       .snippet = finding.snippet});
    const bool bait = is_canary(finding);
    if (bait) {
      canary = true;
      egress::Event event;
      event.host = repository_.repo().upstream.host;
      event.rule = finding.rule;
      event.reason = "in a push";
      egress::raise_canary(house_.egress, event);
    }
    if (i < told_findings)
      // Which of its files are bait is nothing the agent should learn from us.
      tell(fmt::format("  {} in {} of {}: {}", bait ? "credential" : finding.rule, one_line(where_of(finding)),
                       finding.commit.substr(0, 12), one_line(finding.snippet)));
  }
  if (count > told_findings) tell(fmt::format("  and {} more", count - told_findings));
  tell("take them out of every commit (git rebase -i), or ask the operator");
  // A canary in a push is no false positive: whoever wrote it has gone looking for credentials.
  if (canary) {
    reject_all("secrets found");
    return;
  }
  // An approval would be of what was shown, and not all of it can be.
  if (task_.totals.left_out > 0) {
    tell(fmt::format("there are {} more than can be shown and approved; push in parts", task_.totals.left_out));
    reject_all("secrets found");
    return;
  }
  const auto proposal = house_.journal.propose(
      "git-allow", {{"repo", repository_.repo().name}, {"fingerprints", std::move(fingerprints)}},
      {{"findings", std::move(facts)},
       {"upstream", repository_.repo().upstream.host},
       {"refs", static_cast<std::int64_t>(task_.request.updates.size())}},
      {});
  if (!proposal) {
    tell("the operator cannot be asked: " + proposal.error().message);
    reject_all("secrets found");
    return;
  }
  state_ = State::asking;
  proposal_ = proposal->id;
  if (house_.proposal_wait.count() == 0) {
    tell(fmt::format("the operator may say: bot-bottle supervise approve {}; then push again", proposal_));
    tell_fingerprints();
    reject_all("secrets found");
    return;
  }
  tell(fmt::format("waiting up to {} s for the operator: bot-bottle supervise approve {}",
                   std::chrono::duration_cast<std::chrono::seconds>(house_.proposal_wait).count(), proposal_));
  wait_.set(house_.proposal_wait);
}

void Push::tell_fingerprints() {
  if (house_.agent_asks == AgentAsks::no) return;
  tell(fmt::format("or call git-allow and wait for its answer, with the repo \"{}\" and the fingerprints",
                   repository_.repo().name));
  for (std::size_t i = 0; i < std::min(task_.findings.size(), told_findings); ++i)
    tell("  " + one_line(task_.findings[i].fingerprint()));
}

void Push::on_answer(const supervise::Proposal& proposal) {
  if (state_ != State::asking || proposal.id != proposal_) return;
  wait_.clear();
  const Allowed& allowed = owner_.allowed(repository_.repo().name);
  const bool all = std::ranges::all_of(
      task_.findings, [&](const PushFinding& finding) { return allowed.contains(finding.fingerprint()); });
  if (proposal.state == supervise::State::applied && all) {
    tell("the operator approved");
    queue_forward();
    return;
  }
  tell("the operator said no" + (proposal.reason.empty() ? std::string() : ": " + one_line(proposal.reason)));
  reject_all("secrets found");
}

void Push::end_waiting() {
  if (state_ != State::asking) return;
  tell("the bottle is ending");
  reject_all("secrets found");
}

void Push::queue_forward() {
  if (house_.egress.frozen()) {
    reject_all("all traffic of this bottle is stopped");
    return;
  }
  // A client that has gone is not told: nothing may happen in its name any more.
  if (client_ == nullptr) {
    finish();
    return;
  }
  state_ = State::queued;
  const std::weak_ptr<Push> weak = weak_from_this();
  Repository& repository = repository_;
  repository_.exclusive([weak, &repository] {
    const auto self = weak.lock();
    if (!self || self->state_ != State::queued) {
      repository.release();
      return;
    }
    self->forward();
  });
}

void Push::forward() {
  state_ = State::forwarding;
  job_ = std::make_unique<Job>(
      house_.loop, [this](Job::Worker& worker) { forward_push(task_, worker); }, nullptr, [this] { on_forwarded(); });
}

void Push::on_forwarded() {
  const auto self = shared_from_this();
  job_.reset();
  repository_.note_push(task_.request.updates, task_.forwarded, task_.mirror_moved);
  repository_.release();
  for (std::size_t i = 0; i < std::min(task_.forwarded.remote.size(), told_remote_lines); ++i)
    if (client_ != nullptr && task_.request.side_band)
      send_band(2, one_line(house_.redact(task_.forwarded.remote[i])) + "\n");
  reasons_.clear();
  bool taken = true;
  for (const ForwardedRef& ref : task_.forwarded.refs) {
    switch (ref.outcome) {
      case ForwardedRef::Outcome::taken:
        reasons_.emplace_back();
        break;
      case ForwardedRef::Outcome::rejected:
        reasons_.push_back(ref.reason.empty() ? "the upstream refused it" : ref.reason);
        break;
      case ForwardedRef::Outcome::unknown:
        reasons_.push_back("not known whether the upstream took it: fetch to see; " + task_.forwarded.fault);
        break;
    }
    taken = taken && ref.outcome == ForwardedRef::Outcome::taken;
  }
  if (taken)
    log("push_forwarded", egress::Level::info, fmt::format("{} refs", reasons_.size()));
  else
    log("push_not_taken", egress::Level::warn,
        *std::ranges::find_if(reasons_, [](const auto& r) { return !r.empty(); }));
  report();
}

void Push::reject_all(std::string_view reason) {
  reasons_.assign(task_.request.updates.size(), std::string(reason));
  if (!task_.fault || task_.fault->kind != ErrorKind::cancelled) log("push_refused", egress::Level::block, reason);
  report();
}

void Push::send_band(char band, std::string_view bytes) {
  std::string out;
  write_band(out, band, bytes);
  client_->write(out);
}

void Push::tell(std::string_view line) {
  if (client_ == nullptr || !task_.request.side_band) return;
  // Words of git and of the upstream may be in it; what is a secret of the bottle is not told back to it.
  send_band(2, "git-gate: " + house_.redact(line) + "\n");
}

void Push::report() {
  if (client_ != nullptr) {
    std::string lines;
    if (task_.request.report_status) {
      write_pkt(lines, "unpack " + unpack_ + "\n");
      for (std::size_t i = 0; i < task_.request.updates.size(); ++i) {
        const std::string& name = task_.request.updates[i].name;
        const std::string& reason = reasons_[i];
        write_pkt(lines,
                  reason.empty() ? "ok " + name + "\n" : "ng " + name + " " + one_line(house_.redact(reason)) + "\n");
      }
      write_flush(lines);
    }
    if (task_.request.side_band) {
      send_band(1, lines);
      std::string flush;
      write_flush(flush);
      client_->write(flush);
    } else {
      client_->write(lines);
    }
    Client* client = std::exchange(client_, nullptr);
    client->end();
  }
  finish();
}

void Push::finish() {
  if (std::exchange(state_, State::over) == State::over) return;
  keep_alive_.clear();
  wait_.clear();
  owner_.on_over(this);
}

void Push::client_gone() {
  client_ = nullptr;
  switch (state_) {
    case State::refreshing:
    case State::asking:  // the proposal stays; the same push made again finds it
    case State::queued:
      finish();
      break;
    case State::checking:
      job_->cancel();
      break;
    case State::forwarding:  // goes to its end: the upstream may have it already
    case State::over:
      break;
  }
}

void Push::log(std::string_view event, egress::Level level, std::string_view reason) const {
  log_event(house_, {.event = event,
                     .level = level,
                     .host = repository_.repo().upstream.host,
                     .repo = repository_.repo().name,
                     .reason = reason});
}

}  // namespace bot_bottle::git_gate
