#include "sidecar/git_gate/repository.hpp"

#include <utility>

namespace bot_bottle::git_gate {

struct Repository::RefreshTask {
  Refs known;
  bool is_known = false;
  Credentials credentials;
  Result<UpstreamState> state = fail(ErrorKind::internal, "");
};

Repository::Repository(GateHouse& house, Workshop workshop) : house_(house), workshop_(std::move(workshop)) {}

Repository::~Repository() = default;

Credentials Repository::credentials() const {
  Credentials credentials;
  if (repo().upstream.transport != policy::GitUpstream::Transport::https) return credentials;
  const auto read = [this](const std::string& name) {
    const SecretBytes* secret = name.empty() ? nullptr : house_.secrets.find(name);
    return secret == nullptr ? SecretBytes() : SecretBytes(secret->view());
  };
  credentials.token = read(repo().token_ref);
  credentials.proxy_login = read(house_.proxy_token_ref);
  return credentials;
}

void Repository::exclusive(std::function<void()> begin) {
  if (std::exchange(busy_, true)) {
    queue_.push_back(std::move(begin));
    return;
  }
  begin();
}

void Repository::release() {
  if (queue_.empty()) {
    busy_ = false;
    keep_small();
    return;
  }
  const auto next = std::move(queue_.front());
  queue_.pop_front();
  next();
}

/// Nobody waits: the time to look whether the mirror has grown.
void Repository::keep_small() {
  const MirrorSize now = measure_mirror(workshop_);
  if (!settled_ && refs_known_) settled_ = now;
  if (!settled_) return;
  const Repack kind = repack_wanted(now, *settled_);
  if (kind == Repack::none) return;
  exclusive([this, kind] {
    repack_job_ = std::make_unique<Job>(
        house_.loop,
        [this, kind](Job::Worker& worker) { repacked_ = repack_mirror(workshop_, kind, worker.cancel_fd()); }, nullptr,
        [this, kind] { end_repack(kind, repacked_); });
  });
}

void Repository::end_repack(Repack kind, const Result<void>& result) {
  repack_job_.reset();
  // After a failure as well, or it would be tried again at once and for ever.
  settled_ = measure_mirror(workshop_);
  log_event(house_, {.event = result ? "mirror_repacked" : "mirror_not_repacked",
                     .level = result ? egress::Level::info : egress::Level::warn,
                     .host = repo().upstream.host,
                     .repo = repo().name,
                     .reason = result ? std::string_view(kind == Repack::whole ? "whole" : "small packs")
                                      : std::string_view(result.error().message),
                     .octets = settled_->octets});
  release();
}

void Repository::fresh(std::weak_ptr<void> who, OnFresh on_fresh) {
  if (house_.loop.now_ms() < fresh_until_ms_) {
    on_fresh(nullptr);
    return;
  }
  waiters_.push_back({std::move(who), std::move(on_fresh)});
  if (!std::exchange(refresh_asked_, true)) exclusive([this] { start_refresh(); });
}

void Repository::start_refresh() {
  task_ = std::make_unique<RefreshTask>();
  task_->known = *refs_;
  task_->is_known = refs_known_;
  task_->credentials = credentials();
  RefreshTask* task = task_.get();
  job_ = std::make_unique<Job>(
      house_.loop,
      [task, this](Job::Worker& worker) {
        // Of an earlier life of the bottle (resume): what the mirror has is asked once.
        if (!task->is_known) {
          auto refs = read_mirror(workshop_, worker.cancel_fd());
          if (!refs) {
            task->state = fail(std::move(refs.error()));
            return;
          }
          task->known = std::move(*refs);
        }
        task->state = refresh_mirror({workshop_, task->credentials, worker.cancel_fd()}, task->known);
      },
      nullptr, [this] { end_refresh(); });
}

void Repository::end_refresh() {
  const std::unique_ptr<RefreshTask> task = std::move(task_);
  job_.reset();
  refresh_asked_ = false;
  std::vector<Waiter> waiters = std::exchange(waiters_, {});
  const Error* fault = nullptr;
  if (task->state) {
    refs_ = std::make_shared<const Refs>(std::move(task->state->refs));
    refs_known_ = refreshed_once_ = true;
    fresh_until_ms_ = house_.loop.now_ms() + static_cast<std::uint64_t>(house_.bounds.reuse.count());
  } else {
    // Half of a fetch may have happened.
    refs_known_ = false;
    fresh_until_ms_ = 0;
    fault = &task->state.error();
    log_event(house_, {.event = "upstream_unreachable",
                       .level = egress::Level::warn,
                       .host = repo().upstream.host,
                       .repo = repo().name,
                       .reason = fault->message});
  }
  release();
  for (const Waiter& waiter : waiters)
    if (!waiter.who.expired()) waiter.call(fault);
}

void Repository::note_push(const std::vector<RefUpdate>& updates, const Forwarded& forwarded, bool moved) {
  fresh_until_ms_ = 0;
  if (!moved) {
    refs_known_ = false;
    return;
  }
  auto refs = std::make_shared<Refs>(*refs_);
  for (std::size_t i = 0; i < updates.size(); ++i) {
    if (forwarded.refs[i].outcome != ForwardedRef::Outcome::taken) continue;
    if (updates[i].deletes())
      refs->erase(updates[i].name);
    else
      (*refs)[updates[i].name] = updates[i].after;
  }
  refs_ = std::move(refs);
}

}  // namespace bot_bottle::git_gate
