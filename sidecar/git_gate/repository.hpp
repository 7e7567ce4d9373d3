// One repository on the loop's side: who may touch the mirror, and how fresh it is.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/git_gate/gate_house.hpp"
#include "sidecar/git_gate/job.hpp"
#include "sidecar/git_gate/mirror_size.hpp"
#include "sidecar/git_gate/upstream.hpp"

namespace bot_bottle::git_gate {

class Repository {
 public:
  Repository(GateHouse& house, Workshop workshop);
  Repository(const Repository&) = delete;
  Repository& operator=(const Repository&) = delete;
  ~Repository();

  [[nodiscard]] const Workshop& workshop() const { return workshop_; }
  [[nodiscard]] const policy::GitRepo& repo() const { return workshop_.repo(); }
  /// What an https upstream and the proxy before it ask for; empty for ssh.
  [[nodiscard]] Credentials credentials() const;
  /// The upstream's refs as of the last refresh.
  [[nodiscard]] std::shared_ptr<const Refs> refs() const { return refs_; }
  [[nodiscard]] bool was_refreshed() const { return refreshed_once_; }

  /// Calls back when the mirror is what the upstream has: at once when a refresh is younger than two seconds, else
  /// after one that all who wait share. Not called any more when `who` has died. Null: fresh; else why not.
  using OnFresh = std::function<void(const Error* fault)>;
  void fresh(std::weak_ptr<void> who, OnFresh on_fresh);

  /// `begin` runs when nobody else changes the mirror, now or later; it must call release().
  void exclusive(std::function<void()> begin);
  void release();

  /// The mirror's refs after a push; `moved` is false when the mirror could not follow. Never counts as fresh.
  void note_push(const std::vector<RefUpdate>& updates, const Forwarded& forwarded, bool moved);

  /// The rules for content, compiled at the first push on the job's thread when the repository has its own.
  std::shared_ptr<const dlp::Rules> own_rules;

 private:
  void start_refresh();
  void end_refresh();
  void keep_small();
  void end_repack(Repack kind, const Result<void>& result);

  GateHouse& house_;
  Workshop workshop_;
  std::shared_ptr<const Refs> refs_ = std::make_shared<const Refs>();
  bool refs_known_ = false;
  bool refreshed_once_ = false;
  std::uint64_t fresh_until_ms_ = 0;
  struct Waiter {
    std::weak_ptr<void> who;
    OnFresh call;
  };
  std::vector<Waiter> waiters_;
  bool refresh_asked_ = false;
  std::deque<std::function<void()>> queue_;
  bool busy_ = false;
  struct RefreshTask;
  std::unique_ptr<RefreshTask> task_;
  std::unique_ptr<Job> job_;
  std::optional<MirrorSize> settled_;  // the mirror's size when it was last as small as can be
  Result<void> repacked_;              // the job's, until it is over
  std::unique_ptr<Job> repack_job_;
};

}  // namespace bot_bottle::git_gate
