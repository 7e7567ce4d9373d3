#include "core/launch/backends.hpp"

#include <algorithm>

#include "core/base/text.hpp"
#include "core/state/directory.hpp"
#include "core/state/slug.hpp"

namespace bot_bottle::launch {
namespace {

constexpr std::int64_t default_rank = 50;

}  // namespace

std::string choose_backend(const Backends& backends, const Pick& pick) {
  struct Candidate {
    std::int64_t rank;
    std::string name;
  };
  std::vector<Candidate> available;
  std::vector<std::string> reasons;
  for (const std::string& name : backends.names) {
    try {
      const json::object probe = backends.get(name).probe();
      if (get_bool(probe, "available", false)) {
        available.push_back({get_int(probe, "rank", default_rank), name});
        continue;
      }
      std::string reason = name + ": " + get_string(probe, "reason", "not available");
      if (const std::string fix = get_string(probe, "fix"); !fix.empty()) reason += " (" + fix + ")";
      reasons.push_back(std::move(reason));
    } catch (const Failure& failure) {
      if (failure.error().kind == ErrorKind::cancelled) throw;
      reasons.push_back(name + ": " + failure.error().message);
    }
  }
  if (available.empty()) {
    Error error = make_error(ErrorKind::unavailable, "no backend can run a bottle here", "bot-bottle doctor");
    error.details = reasons.empty() ? "none is installed" : join(reasons, "\n");
    throw Failure(std::move(error));
  }
  std::ranges::stable_sort(available, {},
                           [](const Candidate& candidate) { return std::pair(candidate.rank, candidate.name); });
  if (available.size() == 1 || !pick) return available.front().name;
  std::vector<std::string> names;
  for (const Candidate& candidate : available) names.push_back(candidate.name);
  const auto chosen = pick(names);
  if (!chosen) throw Failure(make_error(ErrorKind::refused, "no backend was chosen"));
  return *chosen;
}

const RunningBottle* Running::find(const std::string& slug) const {
  const auto found = std::ranges::find(bottles, slug, &RunningBottle::slug);
  return found == bottles.end() ? nullptr : &*found;
}

Running list_running(const Backends& backends, const Home& home) {
  Running running;
  std::error_code code;
  for (const std::string& name : backends.names) {
    json::object document;
    try {
      document = backends.get(name).enumerate();
    } catch (const Failure& failure) {
      if (failure.error().kind == ErrorKind::cancelled) throw;
      if (failure.error().kind != ErrorKind::unavailable) running.failed.emplace_back(name, failure.error());
      continue;
    }
    const json::array* bottles = find_array(document, "bottles");
    if (bottles == nullptr) continue;
    for (const json::value& value : *bottles) {
      if (!value.is_object()) continue;
      const json::object& item = value.as_object();
      RunningBottle bottle{.backend = name, .slug = get_string(item, "slug")};
      if (!state::is_slug(bottle.slug)) continue;
      const std::filesystem::path state_dir = get_string(item, "state_dir");
      if (!state_dir.empty() && state_dir != home.state_of(bottle.slug) &&
          !std::filesystem::equivalent(state_dir, home.state_of(bottle.slug), code))
        continue;
      bottle.agent = get_string(item, "agent");
      bottle.label = get_string(item, "label");
      bottle.status = get_string(item, "status", "running");
      bottle.services = get_strings(item, "services");
      if (std::filesystem::is_directory(home.state_of(bottle.slug), code)) {
        try {
          const state::Metadata metadata = state::Directory::open(home, bottle.slug).metadata();
          if (!metadata.agent.empty()) bottle.agent = metadata.agent;
          if (bottle.agent.empty()) bottle.agent = metadata.bottle;
          if (!metadata.label.empty()) bottle.label = metadata.label;
          bottle.started_at_ms = metadata.started_at_ms;
        } catch (const Failure&) {  // it runs all the same, and is shown as its backend knows it
        }
      }
      running.bottles.push_back(std::move(bottle));
    }
  }
  std::ranges::stable_sort(running.bottles, {}, &RunningBottle::slug);
  return running;
}

}  // namespace bot_bottle::launch
