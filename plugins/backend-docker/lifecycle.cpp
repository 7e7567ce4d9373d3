// stop, remove, enumerate, orphans, cleanup: by labels, never by names or files.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "core/base/clock.hpp"
#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "plugins/backend-docker/docker_backend.hpp"

namespace bot_bottle::backend_docker {
namespace {

namespace fs = std::filesystem;

/// Mount points that we made in the operator's tree: gone if still empty.
void remove_made(const std::string& backend) {
  const auto text = read_file(backend + "/made.json", 65536);
  if (!text) return;
  const auto parsed = parse_json(*text);
  if (parsed && parsed->is_array())
    for (const json::value& path : parsed->as_array())
      if (path.is_string()) ::rmdir(path.as_string().c_str());
}

/// Ends the containers of one bottle; `keep_agent`: its files stay.
void end_containers(Engine& engine, const std::string& state_dir, bool keep_agent) {
  std::vector<Owned> found = list_owned(engine, Which::containers, state_dir);
  // The agent first: the sidecar sees its last bytes and writes them down.
  std::ranges::sort(found, {}, [](const Owned& owned) { return owned.component == "agent" ? 0 : 1; });
  for (const Owned& owned : found) {
    const std::string path = "/containers/" + owned.id;
    if (owned.running) {
      const Answer stopped = engine.ask("POST", path + "/stop?t=3");
      if (stopped.status >= 400 && stopped.status != 404) throw_engine_error("cannot stop " + owned.name, stopped);
    }
    if (owned.component == "agent" && keep_agent) continue;
    // The sidecar goes by itself when it ends: both at once is no error.
    engine.remove(path + "?force=1&v=1");
  }
  // "Removal in progress" is not removed: what waits for it would find its volume in use.
  for (int i = 0; i < 100; ++i) {
    found = list_owned(engine, Which::containers, state_dir);
    std::erase_if(found, [&](const Owned& owned) { return owned.component == "agent" && keep_agent; });
    if (found.empty()) return;
    engine.ask("POST", "/containers/" + found.front().id + "/wait?condition=removed", std::nullopt,
               std::chrono::milliseconds(10'000));
  }
}

}  // namespace

void DockerBackend::stop(const sdk::Call& call, const sdk::Bottle& bottle) {
  end_containers(engine(call), bottle.state_dir, true);
  if (stream_ && stream_->state_dir() == bottle.state_dir) stream_.reset();
}

void DockerBackend::remove(const sdk::Call& call, const sdk::Bottle& bottle) {
  std::string stayed;
  const auto note = [&](const std::string& what) { stayed += (stayed.empty() ? "" : "; ") + what; };
  const auto attempt = [&](const auto& body) {
    try {
      body();
    } catch (const sdk::Error& error) {
      note(error.message);
    } catch (const Failure& failure) {
      note(failure.error().message);
    }
  };
  if (preparation_ && preparation_->state_dir == bottle.state_dir) attempt([&] { drop_preparation(); });
  Engine& to = engine(call);
  attempt([&] { end_containers(to, bottle.state_dir, false); });
  if (stream_ && stream_->state_dir() == bottle.state_dir) stream_.reset();
  for (const Which which : {Which::volumes, Which::networks})
    attempt([&] {
      for (const Owned& owned : list_owned(to, which, bottle.state_dir))
        to.remove((which == Which::volumes ? "/volumes/" : "/networks/") + owned.id);
    });
  remove_made(bottle.state_dir + "/backend");
  if (auto removed = remove_tree(bottle.state_dir + "/backend"); !removed) note(removed.error().message);
  if (!stayed.empty())
    throw sdk::Error(sdk::Status::failed_precondition,
                     "not everything of " + bottle.slug + " could be removed: " + stayed);
}

sdk::Bottles DockerBackend::enumerate(const sdk::Call& call) {
  sdk::Bottles found;
  const std::string root = host().path(call, "state");
  std::map<std::string, std::vector<Owned>> by_state;
  for (Owned& owned : list_owned(engine(call), Which::containers))
    if (owned.running && fs::path(owned.state_dir).parent_path() == root) by_state[owned.state_dir].push_back(owned);
  for (const auto& [state, parts] : by_state) {
    sdk::RunningBottle running;
    bool agent = false;
    bool sidecar = false;
    for (const Owned& owned : parts) {
      agent = agent || owned.component == "agent";
      sidecar = sidecar || owned.component == "sidecar";
      running.slug = owned.slug;
      running.agent = get_string(owned.labels, label_agent);
      running.label = get_string(owned.labels, label_title);
      running.started_at = format_time(owned.created * 1000);
    }
    running.state_dir = state;
    running.status = agent && sidecar ? "running" : "degraded";
    if (sidecar) {
      const std::string services = get_string(parts.front().labels, label_endpoints);
      for (const std::string_view name : split(services, ','))
        if (!name.empty()) running.services.emplace_back(name);
    }
    found.bottles.push_back(std::move(running));
  }
  return found;
}

sdk::Orphans DockerBackend::orphans(const sdk::Call& call, const std::vector<std::string>& known) {
  sdk::Orphans found;
  const std::string root = host().path(call, "state");
  for (const Which which : {Which::containers, Which::volumes, Which::networks})
    for (const Owned& owned : list_owned(engine(call), which)) {
      // Another home's are another operator's, or another test's.
      if (fs::path(owned.state_dir).parent_path() != root) continue;
      if (std::ranges::find(known, owned.slug) == known.end())
        found.items.push_back({.kind = owned.kind, .what = owned.name, .slug = owned.slug});
    }
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(root, code)) {
    const std::string slug = entry.path().filename().string();
    if (std::ranges::find(known, slug) != known.end() || !fs::exists(entry.path() / "backend" / "network.json", code))
      continue;
    found.items.push_back({.kind = "directory", .what = (entry.path() / "backend").string(), .slug = slug});
  }
  return found;
}

void DockerBackend::cleanup(const sdk::Call& call, const sdk::Orphans& orphans) {
  const std::string root = host().path(call, "state");
  std::string stayed;
  std::vector<std::string> done;
  for (const sdk::OrphanItem& item : orphans.items) {
    // The document came from us, but by way of others: everything is found again by its label.
    if (item.slug.empty() || item.slug.find('/') != std::string::npos || item.slug.starts_with('.')) continue;
    if (std::ranges::find(done, item.slug) != done.end()) continue;
    done.push_back(item.slug);
    sdk::Bottle bottle;
    bottle.slug = item.slug;
    bottle.state_dir = root + "/" + item.slug;
    try {
      remove(call, bottle);
    } catch (const sdk::Error& error) {
      stayed += (stayed.empty() ? "" : "; ") + error.message;
    }
  }
  if (!stayed.empty())
    throw sdk::Error(sdk::Status::failed_precondition, "not everything could be cleaned up: " + stayed);
}

}  // namespace bot_bottle::backend_docker
