#include "core/launch/removal.hpp"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "core/base/text.hpp"
#include "core/launch/session_file.hpp"
#include "core/state/slug.hpp"

namespace bot_bottle::launch {
namespace {

constexpr auto other_process_time = std::chrono::seconds(30);
constexpr int wait_step_ms = 20;

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

/// What must stay, and is therefore no orphan.
std::set<std::string> kept_slugs(const Running& running, const Home& home, Preserved preserved) {
  std::set<std::string> kept;
  for (const RunningBottle& bottle : running.bottles) kept.insert(bottle.slug);
  for (const std::string& slug : state::list_slugs(home)) {
    try {
      const state::Directory directory = state::Directory::open(home, slug);
      if (state::is_being_launched(directory) || (preserved == Preserved::kept && directory.is_preserved()))
        kept.insert(slug);
    } catch (const Failure& failure) {
      if (failure.error().kind != ErrorKind::not_found) throw;  // gone meanwhile
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

void remove_state(const Backends& backends, const Home& home, const CleanupPlan::State& item) {
  state::Directory directory = state::Directory::open(home, item.slug);
  if (!directory.try_lock()) return;  // somebody resumes it right now
  if (const auto bottle = directory.find_bottle(); bottle && !item.backend.empty())
    backends.get(item.backend).remove(*bottle);
  directory.remove();
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
  if (!has_owner && directory.find_document("session.json"))
    collect_transcripts(backend, *bottle, read_session_file(directory), directory, warn);
  backend.stop(*bottle);
  directory.append_event({{"event", "stopped by the operator"}});
  if (has_owner) {
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
  if (after == AfterStop::remove) {
    backend.remove(*bottle);
    directory.remove();
    return;
  }
  metadata.status = state::Status::preserved;
  metadata.cli = {};
  directory.preserve("stopped by the operator");
  directory.write_metadata(metadata, state::Durable::yes);
}

CleanupPlan plan_cleanup(const Backends& backends, const Home& home, Preserved preserved) {
  CleanupPlan plan;
  const Running running = list_running(backends, home);
  plan.failed = running.failed;
  const std::set<std::string> kept = kept_slugs(running, home, preserved);
  for (const std::string& slug : state::list_slugs(home)) {
    if (kept.contains(slug)) continue;
    const state::Directory directory = state::Directory::open(home, slug);
    const state::Metadata metadata = directory.metadata();
    // A backend that could not be asked may be running it.
    const bool unknown =
        std::ranges::any_of(plan.failed, [&](const auto& failed) { return failed.first == metadata.backend; });
    if (unknown) continue;
    plan.states.push_back({slug, metadata.backend,
                           directory.is_preserved() ? "preserved"
                                                    : "does not run; " + std::string(state::name_of(metadata.status)) +
                                                          " when its launcher died"});
  }
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
                                                       const CleanupPlan& plan, Preserved preserved) {
  std::vector<std::pair<std::string, Error>> failed;
  // From here on no slug can be reserved: what is nobody's now stays nobody's until it is gone.
  const UniqueFd held = state::lock_state(home, state::LockMode::exclusive);
  const std::set<std::string> kept = kept_slugs(list_running(backends, home), home, preserved);
  for (const CleanupPlan::State& item : plan.states) {
    if (kept.contains(item.slug)) continue;
    try {
      remove_state(backends, home, item);
    } catch (const Failure& failure) {
      if (failure.error().kind != ErrorKind::not_found) failed.emplace_back("state " + item.slug, failure.error());
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
