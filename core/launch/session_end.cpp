#include "core/base/text.hpp"
#include "core/launch/freeze.hpp"
#include "core/launch/session.hpp"
#include "core/launch/test_hooks.hpp"
#include "core/state/frozen.hpp"

namespace bot_bottle::launch {

void Session::end_bottle(const json::object& document) {
  if (end_ == End::remove)
    parts_.backend->remove(document);
  else
    parts_.backend->stop(document);
}

bool Session::has_snapshot() const {
  const auto frozen = state::find_frozen(*directory_);
  return frozen && frozen->has_snapshot();
}

/// Before anything of the bottle ends: a commit that is under way comes to its end first, and what was frozen is kept
/// whatever the exit code (freeze_test.py: an_agent_that_ends_while_it_is_frozen_is_kept). The lock until the end of
/// the undos; without it when the commit does not end: no signal reaches us here, and the agent may hold it up.
UniqueFd Session::wait_for_commit() {
  if (!directory_) return {};
  try {
    auto lock = state::lock_freeze_within(*directory_, state::FreezeLock::exclusive, patience(commit_time));
    if (!lock) parts_.warn("a commit or a fork of " + plan_.slug + " did not end: it is stopped all the same");
    if (end_ == End::remove && (!lock || has_snapshot())) {
      end_ = End::preserve;
      preserve_reason_ = lock ? "frozen" : "a commit or a fork of it did not end";
      result_.preserved = true;
    }
    return lock ? std::move(*lock) : UniqueFd();
  } catch (const Failure& failure) {  // the directory is gone or cannot be read: undo what can be undone
    event("no freeze lock: " + failure.error().message, "warn");
    return {};
  }
}

void Session::unwind() {
  parts_.signals->set_phase(Signals::Phase::undoing);
  parts_.set_cancel_fd(-1);
  const UniqueFd lock = wait_for_commit();
  const Steps::Undone undone = steps_.unwind();
  for (const auto& [what, error] : undone.failed) {
    result_.clean = false;
    parts_.warn("could not undo " + what + ": " + error.message + (error.hint.empty() ? "" : " (" + error.hint + ")"));
  }
  if (!result_.clean) parts_.warn("something may be left: bot-bottle cleanup");
}

/// Takes everything back and says so; the error goes on to the operator.
Failure Session::undone(Error error) {
  if (parts_.signals->received() != 0 && error.message != parts_.signals->ending()) {
    // A plugin's own words for being cancelled are not better than ours; what else went wrong is told below.
    if (error.kind != ErrorKind::cancelled) error.details += (error.details.empty() ? "" : "\n") + error.message;
    error.kind = ErrorKind::cancelled;
    error.message = parts_.signals->ending();
    error.hint.clear();
  }
  if (directory_) event("launch failed: " + error.message, "warn");
  parts_.signals->set_phase(Signals::Phase::undoing);
  parts_.set_cancel_fd(-1);
  const UniqueFd lock = wait_for_commit();
  const Steps::Undone undone = steps_.unwind();
  if (!undone.done.empty()) parts_.note("undone: " + join(undone.done, ", "));
  for (const auto& [what, fault] : undone.failed)
    parts_.warn("could not undo " + what + ": " + fault.message + (fault.hint.empty() ? "" : " (" + fault.hint + ")"));
  if (!undone.failed.empty()) parts_.warn("something may be left: bot-bottle cleanup");
  if (end_ == End::preserve && directory_ && error.hint.empty()) error.hint = "bot-bottle resume " + plan_.slug;
  return Failure(std::move(error));
}

}  // namespace bot_bottle::launch
