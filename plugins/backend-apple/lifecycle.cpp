// stop, remove, enumerate, orphans, cleanup: by labels and locks, never by names or files.
#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "plugins/backend-apple/apple_backend.hpp"
#include "plugins/backend-driven/host_sidecar.hpp"
#include "plugins/backend-driven/machine_record.hpp"

namespace bot_bottle::backend_apple {
namespace {

namespace fs = std::filesystem;

/// Runs all of them; what failed is said together at the end.
class Attempts {
 public:
  template <typename Body>
  void attempt(Body&& body) {
    try {
      body();
    } catch (const sdk::Error& error) {
      note(error.message, error.hint);
    } catch (const Failure& failure) {
      note(failure.error().message, failure.error().hint);
    }
  }
  void note(const std::string& text, const std::string& hint) {
    stayed_ += (stayed_.empty() ? "" : "; ") + text;
    if (hint_.empty()) hint_ = hint;
  }
  void check(const std::string& what) const {
    if (!stayed_.empty()) throw sdk::Error(sdk::Status::failed_precondition, what + ": " + stayed_, hint_);
  }

 private:
  std::string stayed_;
  std::string hint_;
};

struct StateWithParts {
  std::string directory;
  std::optional<Failure> problem;  // why its record cannot be read
};

/// The states below our root that have something of ours in them, or may have: whose a record is that cannot be read,
/// it does not say, and one of them is not to hide all the others.
std::vector<StateWithParts> states_with_parts(const std::string& root) {
  std::vector<StateWithParts> found;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(root, code)) {
    if (!entry.is_directory(code) || entry.is_symlink(code)) continue;
    const std::string state = entry.path().string();
    try {
      const auto record = driven::load_record(state);
      if (record && get_string(*record, "backend") == backend_name) found.push_back({state, {}});
    } catch (const Failure& failure) {
      found.push_back({state, failure});
    }
  }
  std::ranges::sort(found, {}, &StateWithParts::directory);
  return found;
}

/// Ours. A tool that cannot be asked is "unavailable", which the core takes for "nothing of it runs"; where bottles of
/// ours are, or may be, that would be a lie, and cleanup would forget machines that run.
std::vector<Owned> list_where_it_matters(const std::function<ContainerTool&()>& tool,
                                         const std::vector<StateWithParts>& states) {
  try {
    return tool().list();
  } catch (const sdk::Error& error) {
    if (error.status != sdk::Status::unavailable || states.empty()) throw;
    // Where it is that alone which keeps us, it is what is to be mended.
    if (std::ranges::all_of(states, [](const StateWithParts& state) { return state.problem.has_value(); }))
      throw Failure(*states.front().problem);
    throw sdk::Error(sdk::Status::failed_precondition, error.message, error.hint);
  }
}

}  // namespace

void AppleBackend::stop(const sdk::Call& call, const sdk::Bottle& bottle) {
  ContainerTool& with = tool(call);
  Attempts attempts;
  attempts.attempt([&] { or_throw(driven::end_lifeline_keeper(bottle.state_dir)); });
  // The agent first: the sidecar sees its last bytes and writes them down.
  attempts.attempt([&] { with.end(bottle.state_dir); });
  attempts.attempt([&] { or_throw(driven::end_host_sidecar(bottle.state_dir)); });
  // A warning: what ends such a machine is its removal, which comes after a stop that succeeds.
  attempts.attempt([&] {
    const auto owned = with.find(bottle.state_dir);
    try {
      if (owned && owned->is_stopped()) with.check_ended(owned->id);
    } catch (const sdk::Error& error) {
      if (error.status != sdk::Status::failed_precondition) throw;
      host().warning(error.message + "; " + error.hint);
    }
  });
  attempts.check("not everything of " + bottle.slug + " could be stopped");
}

void AppleBackend::remove(const sdk::Call& call, const sdk::Bottle& bottle) {
  Attempts attempts;
  attempts.attempt([&] { or_throw(driven::end_lifeline_keeper(bottle.state_dir)); });
  bool is_gone = false;
  attempts.attempt([&] {
    tool(call).remove(bottle.state_dir);
    is_gone = true;
  });
  attempts.attempt([&] { or_throw(driven::end_host_sidecar(bottle.state_dir)); });
  // What is not known to be gone keeps its files: cleanup finds it by them.
  if (is_gone) attempts.attempt([&] { or_throw(remove_tree(bottle.state_dir + "/backend")); });
  attempts.check("not everything of " + bottle.slug + " could be removed");
}

sdk::Bottles AppleBackend::enumerate(const sdk::Call& call) {
  sdk::Bottles found;
  const std::string root = host().path(call, "state");
  const std::vector<StateWithParts> known = states_with_parts(root);
  std::map<std::string, Owned> machines;
  for (Owned& owned : list_where_it_matters([&]() -> ContainerTool& { return tool(call); }, known))
    if (owned.state == "running" && fs::path(owned.state_dir).parent_path() == root)
      machines.emplace(owned.state_dir, std::move(owned));
  std::vector<std::string> states;
  for (const StateWithParts& state : known) states.push_back(state.directory);
  for (const auto& [state, owned] : machines)
    if (std::ranges::find(states, state) == states.end()) states.push_back(state);
  for (const std::string& state : states) {
    const auto machine = machines.find(state);
    const bool sidecar = driven::is_sidecar_running(state);
    if (machine == machines.end() && !sidecar) continue;
    sdk::RunningBottle running;
    running.slug = fs::path(state).filename().string();
    running.state_dir = state;
    running.status = machine != machines.end() && sidecar ? "running" : "degraded";
    if (machine != machines.end()) {
      running.agent = machine->second.agent;
      running.label = machine->second.label;
      running.started_at = machine->second.started_at;
      if (sidecar)
        for (const std::string_view name : split(machine->second.endpoints, ','))
          if (!name.empty()) running.services.emplace_back(name);
    }
    found.bottles.push_back(std::move(running));
  }
  return found;
}

sdk::Orphans AppleBackend::orphans(const sdk::Call& call, const std::vector<std::string>& known) {
  sdk::Orphans found;
  const std::string root = host().path(call, "state");
  const auto is_known = [&](const std::string& slug) { return std::ranges::find(known, slug) != known.end(); };
  const std::vector<StateWithParts> states = states_with_parts(root);
  for (const Owned& owned : list_where_it_matters([&]() -> ContainerTool& { return tool(call); }, states))
    // Another home's are another operator's, or another test's.
    if (fs::path(owned.state_dir).parent_path() == root && !is_known(owned.slug))
      found.items.push_back({.kind = "container", .what = owned.id, .slug = owned.slug});
  for (const auto& [state, problem] : states) {
    const std::string slug = fs::path(state).filename().string();
    if (is_known(slug)) continue;
    if (driven::is_sidecar_running(state))
      found.items.push_back({.kind = "process", .what = state + "/backend/sidecar.lock", .slug = slug});
    found.items.push_back({.kind = "directory", .what = state + "/backend", .slug = slug});
  }
  return found;
}

void AppleBackend::cleanup(const sdk::Call& call, const sdk::Orphans& orphans) {
  const std::string root = host().path(call, "state");
  Attempts attempts;
  std::vector<std::string> done;
  for (const sdk::OrphanItem& item : orphans.items) {
    // The document came from us, but by way of others: everything is found again by its label.
    if (item.slug.empty() || item.slug.find('/') != std::string::npos || item.slug.starts_with('.')) continue;
    if (std::ranges::find(done, item.slug) != done.end()) continue;
    done.push_back(item.slug);
    sdk::Bottle bottle;
    bottle.slug = item.slug;
    bottle.state_dir = root + "/" + item.slug;
    attempts.attempt([&] {
      // One that cannot be read may be another backend's, whose machine runs: it is named and stays.
      static_cast<void>(driven::load_record(bottle.state_dir));
      remove(call, bottle);
    });
  }
  attempts.check("not everything could be cleaned up");
}

}  // namespace bot_bottle::backend_apple
