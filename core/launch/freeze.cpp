#include "core/launch/freeze.hpp"

#include <algorithm>

#include "core/base/clock.hpp"
#include "core/base/error.hpp"
#include "core/launch/session_file.hpp"
#include "core/launch/test_hooks.hpp"

namespace bot_bottle::launch {
namespace {

constexpr std::chrono::hours other_commit_time{1};

plugins::Freezer& need_freezer(const Backends& backends, const std::string& backend) {
  plugins::Freezer* freezer = backends.find_freezer ? backends.find_freezer(backend) : nullptr;
  if (freezer == nullptr)
    throw Failure(make_error(ErrorKind::unsupported, "the backend " + backend + " cannot freeze bottles",
                             "bot-bottle list plugins"));
  return *freezer;
}

/// The name that we gave is the one that we can remove after a crash: a plugin that takes another one leaks.
void check_snapshot(const json::object& snapshot, const std::string& name, const std::string& backend) {
  if (get_string(snapshot, "ref") == name && !get_string(snapshot, "kind").empty()) return;
  throw Failure(make_error(ErrorKind::internal, "the freezer of " + backend + " did not name its snapshot " + name,
                           "report this to the plugin's author"));
}

}  // namespace

state::Frozen commit_bottle(const CommitParts& parts, const std::string& slug) {
  state::Directory directory = state::Directory::open(parts.home, slug);
  // A stop that came first has ended it; one that comes now waits for us (freeze_test.py: stop and commit race).
  const auto lock =
      state::lock_freeze_within(directory, state::FreezeLock::exclusive, other_commit_time, parts.cancel_fd);
  if (!lock)
    throw Failure(make_error(ErrorKind::timeout, "another commit or a fork of '" + slug + "' does not end",
                             "bot-bottle stop " + slug));
  const state::Metadata metadata = directory.metadata();
  const auto bottle = directory.find_document("bottle.json");
  plugins::Freezer& freezer = need_freezer(*parts.backends, metadata.backend);
  const Running running = list_running({.names = {metadata.backend}, .get = parts.backends->get}, parts.home);
  if (!running.failed.empty()) throw Failure(running.failed.front().second);
  if (!bottle || running.find(slug) == nullptr)
    throw Failure(make_error(ErrorKind::failed_precondition, "the bottle '" + slug + "' does not run",
                             directory.is_preserved() ? "bot-bottle resume " + slug : "bot-bottle list active"));
  settle_pending(*parts.backends, directory);

  state::Frozen frozen = state::find_frozen(directory).value_or(state::Frozen{});
  const std::string old = frozen.ref();
  const std::string name = state::make_snapshot_name(slug);
  frozen.backend = metadata.backend;
  frozen.pending.push_back(name);
  state::write_frozen(directory, frozen);
  // From here on something may exist under `name`: it is pending until it is the bottle's snapshot.
  act_on_step_hooks("freeze-named");
  json::object request = *bottle;
  request["snapshot"] = name;
  json::object snapshot;
  try {
    snapshot = freezer.freeze(request);
    check_snapshot(snapshot, name, metadata.backend);
    act_on_step_hooks("freeze-made");
    frozen.snapshot = std::move(snapshot);
    frozen.frozen_at_ms = now_ms();
    frozen.next_resume = true;
    std::erase(frozen.pending, name);
    if (!old.empty()) frozen.pending.push_back(old);
    state::write_frozen(directory, frozen);
  } catch (const Failure& failure) {
    try {
      settle_pending(*parts.backends, directory);
    } catch (const Failure& second) {
      parts.warn("what was made could not be removed: " + second.error().message);
    }
    throw;
  }
  // From here on the new snapshot counts; whatever fails below leaves it valid.
  directory.preserve("frozen");
  act_on_step_hooks("freeze-recorded");
  settle_pending(*parts.backends, directory);
  if (directory.find_document("session.json"))
    collect_transcripts(parts.backends->get(metadata.backend), *bottle, read_session_file(directory), directory,
                        parts.warn, {parts.backends->set_cancel_fd, parts.cancel_fd});
  directory.append_event({{"event", "frozen"}});
  return state::find_frozen(directory).value_or(frozen);
}

void settle_pending(const Backends& backends, const state::Directory& directory) {
  auto frozen = state::find_frozen(directory);
  if (!frozen || frozen->pending.empty()) return;
  plugins::Freezer& freezer = need_freezer(backends, frozen->backend);
  for (const std::string& name : frozen->pending)
    if (name != frozen->ref()) freezer.remove(name);
  frozen->pending.clear();
  state::write_frozen(directory, *frozen);
}

void remove_snapshots(const Backends& backends, const state::Directory& directory) {
  const auto frozen = state::find_frozen(directory);
  if (!frozen) return;
  plugins::Freezer& freezer = need_freezer(backends, frozen->backend);
  for (const std::string& name : frozen->pending) freezer.remove(name);
  if (frozen->has_snapshot()) freezer.remove(frozen->ref());
}

}  // namespace bot_bottle::launch
