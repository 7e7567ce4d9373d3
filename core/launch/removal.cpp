#include "core/launch/removal.hpp"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "core/base/text.hpp"
#include "core/launch/decisions.hpp"
#include "core/launch/freeze.hpp"
#include "core/launch/session_file.hpp"
#include "core/launch/test_hooks.hpp"
#include "core/launch/workspace.hpp"
#include "core/state/slug.hpp"

namespace bot_bottle::launch {
namespace {

constexpr auto other_process_time = std::chrono::seconds(30);
constexpr int wait_step_ms = 20;
constexpr auto decisions_time = std::chrono::seconds(2);

/// The process that launched the bottle sees its agent end and undoes (maybe to the end: then the directory is gone).
/// False when it did not finish in time.
bool wait_for_lock(state::Directory& directory) {
  const auto deadline = std::chrono::steady_clock::now() + other_process_time;
  std::error_code code;
  while (std::filesystem::exists(directory.path(), code)) {
    try {
      if (directory.try_lock()) return true;
    } catch (const Failure& failure) {
      if (failure.error().kind != ErrorKind::not_found) throw;  // removed between the two looks
    }
    if (std::chrono::steady_clock::now() >= deadline) return false;
    ::poll(nullptr, 0, wait_step_ms);
  }
  return true;
}

/// After a commit that is under way; one that comes now finds that the bottle does not run. Nothing when it does not
/// end: the bottle is stopped all the same, and that ends what waits for an answer of it.
std::optional<UniqueFd> wait_for_freeze(const state::Directory& directory, const std::string& slug,
                                        const std::function<void(std::string_view)>& warn) {
  if (auto lock = state::try_lock_freeze(directory, state::FreezeLock::exclusive)) return lock;
  warn("waiting for the end of a commit, a fork or a session of " + slug);
  auto lock = state::lock_freeze_within(directory, state::FreezeLock::exclusive, patience(commit_time));
  if (!lock) warn("it did not end: " + slug + " is stopped all the same");
  return lock;
}

/// A detached launch has no lifeline: killed before its end, it leaves a bottle that runs and that nobody was told of.
/// Guarded by kill_9_of_a_fork_at_every_step… (freeze_test.py, docker/faults_test.py).
bool is_abandoned_launch(const Home& home, const std::string& slug) {
  try {
    const state::Directory directory = state::Directory::open(home, slug);
    if (!directory.find_document("metadata.json")) return false;
    const state::Metadata before = directory.metadata();
    if (before.status != state::Status::launching || before.cli.is_alive()) return false;
    // It may have written "running" and ended between the two looks; now it can write no more.
    const state::Metadata after = directory.metadata();
    return after.status == state::Status::launching && !after.cli.is_alive();
  } catch (const Failure&) {
    return false;  // gone meanwhile, or not ours to judge: kept_slugs keeps it
  }
}

/// What must stay, and is therefore no orphan.
std::set<std::string> kept_slugs(const Running& running, const Home& home, Preserved preserved) {
  std::set<std::string> kept;
  for (const RunningBottle& bottle : running.bottles)
    if (!is_abandoned_launch(home, bottle.slug)) kept.insert(bottle.slug);
  for (const std::string& slug : state::list_slugs(home)) {
    try {
      const state::Directory directory = state::Directory::open(home, slug);
      static_cast<void>(directory.metadata());
      if (state::is_being_launched(directory) || (preserved == Preserved::kept && directory.is_preserved()))
        kept.insert(slug);
    } catch (const Failure& failure) {
      // Gone meanwhile; or of another version, or torn: what cannot be judged is nobody's to remove, and does not keep
      // the others from being removed (mistakes_host_test.py: a_state_of_another_version).
      if (failure.error().kind != ErrorKind::not_found) kept.insert(slug);
    }
  }
  return kept;
}

/// The same document with the items of `kept` slugs left out; nothing when none is left.
std::optional<json::object> without(const json::object& document, const std::set<std::string>& kept) {
  const json::array* items = find_array(document, "items");
  if (items == nullptr) return std::nullopt;
  json::array left;
  for (const json::value& item : *items)
    if (item.is_object() && !kept.contains(get_string(item.as_object(), "slug"))) left.push_back(item);
  if (left.empty()) return std::nullopt;
  json::object out = document;
  out["items"] = std::move(left);
  return out;
}

/// `preserved`: kept, a bottle that a killed resume left running is only ended.
void remove_state(const Backends& backends, const Home& home, const CleanupPlan::State& item, Preserved preserved) {
  state::Directory directory = state::Directory::open(home, item.slug);
  if (!directory.try_lock()) return;  // somebody resumes it right now
  const auto freeze = state::try_lock_freeze(directory, state::FreezeLock::exclusive);
  if (!freeze) return;  // or forks it
  // A launch that was killed before it had a bottle has what its plan names.
  auto bottle = directory.find_bottle();
  if (!bottle) bottle = directory.find_document("plan.json");
  const bool has_bottle = bottle && !item.backend.empty();
  if (preserved == Preserved::kept && directory.is_preserved()) {
    if (has_bottle) backends.get(item.backend).stop(*bottle);
    state::Metadata metadata = directory.metadata();
    const auto frozen = state::find_frozen(directory);
    metadata.status = frozen && frozen->has_snapshot() ? state::Status::frozen : state::Status::preserved;
    metadata.cli = {};
    directory.write_metadata(metadata, state::Durable::yes);
    return;
  }
  remove_snapshots(backends, directory);
  if (has_bottle) backends.get(item.backend).remove(*bottle);
  keep_decisions(home, directory);
  directory.remove();
  remove_unused_worktree(home, item.slug);
}

/// Of bottles that have no state any more. Those that hold work are the operator's: `worktree list` shows them.
std::vector<WorktreeRecord> unused_worktrees(const Home& home) {
  std::vector<WorktreeRecord> unused;
  const std::vector<std::string> slugs = state::list_slugs(home);
  for (WorktreeRecord& record : list_worktrees(home)) {
    if (std::ranges::find(slugs, record.slug) != slugs.end()) continue;
    try {
      if (!sync::look_at_worktree(record.worktree).holds_work()) unused.push_back(std::move(record));
    } catch (const Failure& failure) {
      if (failure.error().kind == ErrorKind::cancelled) throw;  // git cannot tell: it stays
    }
  }
  return unused;
}

}  // namespace

void stop_bottle(const Backends& backends, const Home& home, const std::string& slug, AfterStop after,
                 const std::function<void(std::string_view)>& warn) {
  state::Directory directory = state::Directory::open(home, slug);
  state::Metadata metadata = directory.metadata();
  const auto bottle = directory.find_bottle();
  if (metadata.backend.empty() || !bottle) {
    if (state::is_being_launched(directory))
      throw Failure(make_error(ErrorKind::failed_precondition, "the bottle '" + slug + "' is only being launched",
                               "press Ctrl-C where it is launched"));
    throw Failure(make_error(ErrorKind::failed_precondition, "the bottle '" + slug + "' was never launched to its end",
                             "bot-bottle cleanup"));
  }
  plugins::Backend& backend = backends.get(metadata.backend);
  const bool has_owner = !directory.try_lock();
  std::optional<UniqueFd> freeze = wait_for_freeze(directory, slug, warn);
  // Who removes the state removes its transcript, too.
  if (!has_owner && freeze && after == AfterStop::preserve && directory.find_document("session.json"))
    collect_transcripts(backend, *bottle, read_session_file(directory), directory, warn, {backends.set_cancel_fd, -1});
  // Whatever happens to its files later; what cannot be had now is copied from the journal when the state goes.
  try {
    copy_decisions(home, directory, decisions_time);
  } catch (const Failure& failure) {
    if (failure.error().kind != ErrorKind::unavailable)
      warn("decisions not in the audit yet: " + failure.error().message);
  }
  backend.stop(*bottle);
  directory.append_event({{"event", "stopped by the operator"}});
  if (has_owner) {
    freeze.reset();  // that process takes it for its undos
    if (after == AfterStop::preserve) return;
    if (!wait_for_lock(directory))
      throw Failure(make_error(ErrorKind::timeout,
                               "the bottle '" + slug + "' was stopped, but the process that launched it did not end",
                               "bot-bottle cleanup --all"));
    // It may have removed everything itself; then there is nothing to do here.
    if (!std::filesystem::exists(directory.path() / "metadata.json")) {
      directory.remove();
      return;
    }
  }
  if (!freeze)
    freeze = state::lock_freeze_within(directory, state::FreezeLock::exclusive, patience(other_process_time));
  if (after == AfterStop::remove) {
    if (!freeze)
      throw Failure(make_error(ErrorKind::timeout,
                               "the bottle '" + slug + "' was stopped, but a commit or a fork of it did not end",
                               "bot-bottle stop --rm " + slug));
    remove_snapshots(backends, directory);
    backend.remove(*bottle);
    keep_decisions(home, directory);
    directory.remove();
    if (!remove_unused_worktree(home, slug))
      warn("its worktree holds work and stays: bot-bottle worktree show " + slug);
    return;
  }
  const auto frozen = state::find_frozen(directory);
  metadata.status = frozen && frozen->has_snapshot() ? state::Status::frozen : state::Status::preserved;
  metadata.cli = {};
  directory.preserve("stopped by the operator");
  directory.write_metadata(metadata, state::Durable::yes);
}

namespace {

/// What killed commits left beside bottles that stay; nobody commits or forks them right now.
std::vector<CleanupPlan::Snapshots> pending_snapshots(const Home& home, const CleanupPlan& plan) {
  std::vector<CleanupPlan::Snapshots> found;
  for (const std::string& slug : state::list_slugs(home)) {
    if (std::ranges::find(plan.states, slug, &CleanupPlan::State::slug) != plan.states.end()) continue;
    const state::Directory directory = state::Directory::open(home, slug);
    const auto frozen = state::find_frozen(directory);
    if (!frozen || frozen->pending.empty()) continue;
    if (state::try_lock_freeze(directory, state::FreezeLock::exclusive)) found.push_back({slug, frozen->pending});
  }
  return found;
}

}  // namespace

CleanupPlan plan_cleanup(const Backends& backends, const Home& home, Preserved preserved) {
  CleanupPlan plan;
  const Running running = list_running(backends, home);
  plan.failed = running.failed;
  const std::set<std::string> kept = kept_slugs(running, home, preserved);
  for (const std::string& slug : state::list_slugs(home)) {
    try {
      static_cast<void>(state::Directory::open(home, slug).metadata());
    } catch (const Failure& failure) {
      if (failure.error().kind != ErrorKind::not_found) plan.unreadable.emplace_back(slug, failure.error());
      continue;
    }
    const bool runs_abandoned = running.find(slug) != nullptr && is_abandoned_launch(home, slug);
    if (kept.contains(slug) && !runs_abandoned) continue;
    const state::Directory directory = state::Directory::open(home, slug);
    const state::Metadata metadata = directory.metadata();
    // A backend that could not be asked may be running it.
    const bool unknown =
        std::ranges::any_of(plan.failed, [&](const auto& failed) { return failed.first == metadata.backend; });
    if (unknown) continue;
    plan.states.push_back(
        {slug, metadata.backend,
         runs_abandoned ? "runs, but its launcher died before it was up"
         : directory.is_preserved()
             ? "kept"
             : "does not run; " + std::string(state::name_of(metadata.status)) + " when its launcher died"});
  }
  // A kept bottle that does not run has no key either: it gets a new one when it is resumed.
  const std::set<std::string> live = kept_slugs(running, home, Preserved::removed);
  for (DeployKeyRecord& record : list_deploy_keys(home))
    if (!live.contains(record.slug) && plan.failed.empty()) plan.keys.push_back(std::move(record));
  plan.snapshots = pending_snapshots(home, plan);
  for (const std::string& slug : state::list_slugs(home))
    if (const auto staging = find_abandoned_staging(state::Directory::open(home, slug)))
      plan.stagings.emplace_back(slug, staging->string());
  plan.worktrees = unused_worktrees(home);
  const std::vector<std::string> known(kept.begin(), kept.end());
  for (const std::string& name : backends.names) {
    try {
      if (auto left = without(backends.get(name).orphans(known), kept))
        plan.orphans.push_back({name, std::move(*left)});
    } catch (const Failure& failure) {
      const ErrorKind kind = failure.error().kind;
      if (kind == ErrorKind::cancelled) throw;
      const bool named = std::ranges::any_of(plan.failed, [&](const auto& failed) { return failed.first == name; });
      if (!named && kind != ErrorKind::unavailable && kind != ErrorKind::unsupported)
        plan.failed.emplace_back(name, failure.error());
    }
  }
  return plan;
}

std::vector<std::string> describe(const CleanupPlan& plan) {
  std::vector<std::string> lines;
  for (const CleanupPlan::State& item : plan.states) lines.push_back("state      " + item.slug + " (" + item.why + ")");
  for (const DeployKeyRecord& record : plan.keys)
    lines.push_back("deploy key " + record.title + " of " + record.url + " (" + record.provider + ")");
  for (const CleanupPlan::Snapshots& item : plan.snapshots)
    for (const std::string& name : item.names)
      lines.push_back("snapshot   " + name + " (a commit of " + item.slug + " did not end)");
  for (const auto& [slug, directory] : plan.stagings)
    lines.push_back("directory  " + directory + " (a sync of " + slug + " did not end)");
  for (const WorktreeRecord& record : plan.worktrees)
    lines.push_back("worktree   " + record.worktree.path.string() + " and its branch " + record.worktree.branch +
                    " (of a bottle that is gone; it holds nothing)");
  for (const CleanupPlan::Orphans& orphans : plan.orphans) {
    const json::array* items = find_array(orphans.document, "items");
    if (items == nullptr) continue;
    for (const json::value& item : *items) {
      std::string kind = get_string(item.as_object(), "kind", "thing");
      kind.resize(std::max<std::size_t>(kind.size() + 1, 11), ' ');
      lines.push_back(kind + get_string(item.as_object(), "what") + " (" + orphans.backend + ")");
    }
  }
  return lines;
}

std::vector<std::pair<std::string, Error>> run_cleanup(const Backends& backends, const Home& home,
                                                       const CleanupPlan& plan, Preserved preserved,
                                                       const DeployKeyPlugins& deploy_keys) {
  std::vector<std::pair<std::string, Error>> failed;
  // From here on no slug can be reserved: what is nobody's now stays nobody's until it is gone.
  const UniqueFd held = state::lock_state(home, state::LockMode::exclusive);
  const Running running = list_running(backends, home);
  const std::set<std::string> kept = kept_slugs(running, home, preserved);
  for (const auto& [slug, directory] : plan.stagings) {
    try {
      remove_abandoned_staging(state::Directory::open(home, slug));
    } catch (const Failure& failure) {
      if (failure.error().kind != ErrorKind::not_found) failed.emplace_back(directory, failure.error());
    }
  }
  for (const CleanupPlan::State& item : plan.states) {
    const bool runs_abandoned = running.find(item.slug) != nullptr && is_abandoned_launch(home, item.slug);
    if (kept.contains(item.slug) && !runs_abandoned) continue;
    try {
      remove_state(backends, home, item, runs_abandoned ? preserved : Preserved::removed);
    } catch (const Failure& failure) {
      if (failure.error().kind != ErrorKind::not_found) failed.emplace_back("state " + item.slug, failure.error());
    }
  }
  for (const WorktreeRecord& record : plan.worktrees) {
    std::error_code code;
    if (std::filesystem::exists(home.state_of(record.slug), code)) continue;
    try {
      remove_unused_worktree(home, record.slug);
    } catch (const Failure& failure) {
      failed.emplace_back("worktree " + record.worktree.path.string(), failure.error());
    }
  }
  const std::set<std::string> live = kept_slugs(list_running(backends, home), home, Preserved::removed);
  for (const DeployKeyRecord& record : plan.keys) {
    if (live.contains(record.slug)) continue;
    try {
      revoke_deploy_key(deploy_keys, home, record);
    } catch (const Failure& failure) {
      failed.emplace_back("deploy key " + record.title, failure.error());
    }
  }
  for (const CleanupPlan::Snapshots& item : plan.snapshots) {
    try {
      const state::Directory directory = state::Directory::open(home, item.slug);
      if (const auto lock = state::try_lock_freeze(directory, state::FreezeLock::exclusive))
        settle_pending(backends, directory);
    } catch (const Failure& failure) {
      if (failure.error().kind != ErrorKind::not_found)
        failed.emplace_back("snapshots of " + item.slug, failure.error());
    }
  }
  for (const CleanupPlan::Orphans& orphans : plan.orphans) {
    const auto left = without(orphans.document, kept);
    if (!left) continue;
    try {
      backends.get(orphans.backend).cleanup(*left);
    } catch (const Failure& failure) {
      failed.emplace_back(orphans.backend, failure.error());
    }
  }
  return failed;
}

}  // namespace bot_bottle::launch
