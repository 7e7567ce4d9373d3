// stop, remove, enumerate, orphans, cleanup: by locks, never by what files claim.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "plugins/backend-local/cgroup.hpp"
#include "plugins/backend-local/local_backend.hpp"
#include "plugins/backend-local/processes.hpp"

namespace bot_bottle::backend_local {
namespace {

namespace fs = std::filesystem;
constexpr std::chrono::milliseconds grace{4'000};  // the keeper's own is 2 s

std::vector<std::string> directories_in(const std::string& path) {
  std::vector<std::string> names;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(path, code))
    if (entry.is_directory(code) && !entry.is_symlink(code)) names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

std::vector<std::string> groups_of(const std::string& slug, const std::string& state_dir) {
  std::vector<std::string> existing;
  for (std::string& directory :
       cgroup_directories(find_cgroup_place(), cgroup_name(slug, state_dir, Component::bottle)))
    if (fs::exists(directory)) existing.push_back(std::move(directory));
  return existing;
}

/// Mount points that we made in the operator's tree: gone if still empty.
void remove_made(const std::string& backend) {
  const auto text = read_file(backend + "/made.json", 65536);
  if (!text) return;
  const auto parsed = parse_json(*text);
  if (parsed && parsed->is_array())
    for (const json::value& path : parsed->as_array())
      if (path.is_string()) ::rmdir(path.as_string().c_str());
}

/// A bottle of another backend whose sidecar is a process of this machine (backend-driven, machine_record.hpp): that
/// backend's to name and to end, for only it can ask for the rest.
bool is_a_machines(const std::string& state_dir) {
  return fs::exists(state_dir + "/backend/machine.json");
}

std::string slug_of(const std::string& state_dir) {
  return fs::path(state_dir).filename().string();
}

}  // namespace

void LocalBackend::reap(pid_t pid) {
  ::waitpid(pid, nullptr, 0);
  std::erase(keepers_, pid);
}

void LocalBackend::end_both(const std::string& state_dir) {
  if (prepared_ && prepared_->state_dir == state_dir) drop_prepared();
  // The agent first: the sidecar sees its last bytes and writes them down.
  const auto bottle = end_keeper(lock_path(state_dir, Component::bottle), grace);
  const auto sidecar = end_keeper(lock_path(state_dir, Component::sidecar), grace);
  std::erase_if(keepers_, [](pid_t pid) { return ::waitpid(pid, nullptr, WNOHANG) != 0; });
  if (!bottle) throw Failure(bottle.error());
  if (!sidecar) throw Failure(sidecar.error());
}

void LocalBackend::stop(const sdk::Call& /*call*/, const sdk::Bottle& bottle) {
  end_both(bottle.state_dir);
}

void LocalBackend::remove(const sdk::Call& /*call*/, const sdk::Bottle& bottle) {
  std::string stayed;
  const auto note = [&](const Error& error) { stayed += (stayed.empty() ? "" : "; ") + error.message; };
  try {
    end_both(bottle.state_dir);
  } catch (const Failure& failure) {
    note(failure.error());
  }
  ::unlink(exec_socket_path(bottle.state_dir).c_str());
  if (auto removed = remove_cgroup(groups_of(slug_of(bottle.state_dir), bottle.state_dir)); !removed)
    note(removed.error());
  remove_made(bottle.state_dir + "/backend");
  if (auto removed = remove_tree(bottle.state_dir + "/backend"); !removed) note(removed.error());
  if (!stayed.empty())
    throw sdk::Error(sdk::Status::failed_precondition,
                     "not everything of " + bottle.slug + " could be removed: " + stayed);
}

sdk::Bottles LocalBackend::enumerate(const sdk::Call& call) {
  sdk::Bottles found;
  const std::string root = host().path(call, "state");
  for (const std::string& slug : directories_in(root)) {
    const std::string state = root + "/" + slug;
    if (is_a_machines(state)) continue;
    const bool bottle = find_lock_holder(lock_path(state, Component::bottle)).has_value();
    const bool sidecar = find_lock_holder(lock_path(state, Component::sidecar)).has_value();
    if (!bottle && !sidecar) continue;
    sdk::RunningBottle running;
    running.slug = slug;
    running.state_dir = state;
    running.status = bottle && sidecar ? "running" : "degraded";
    const auto text = read_file(lock_path(state, bottle ? Component::bottle : Component::sidecar), 65536);
    if (const auto record = parse_json_object(text ? *text : std::string("{}"))) {
      running.agent = get_string(*record, "agent");
      running.label = get_string(*record, "label");
      running.started_at = get_string(*record, "started_at");
    }
    for (const char* service : {"egress", "git-gate", "supervise"}) {
      struct stat status {};
      if (sidecar && ::lstat((state + "/wire/" + service + ".sock").c_str(), &status) == 0 && S_ISSOCK(status.st_mode))
        running.services.emplace_back(service);
    }
    found.bottles.push_back(std::move(running));
  }
  return found;
}

sdk::Orphans LocalBackend::orphans(const sdk::Call& call, const std::vector<std::string>& known) {
  sdk::Orphans found;
  const std::string root = host().path(call, "state");
  const auto is_known = [&](const std::string& slug) { return std::ranges::find(known, slug) != known.end(); };
  for (const std::string& slug : directories_in(root)) {
    const std::string state = root + "/" + slug;
    if (is_a_machines(state)) continue;
    bool running = false;
    for (const Component component : {Component::bottle, Component::sidecar}) {
      const std::string lock = lock_path(state, component);
      if (!find_lock_holder(lock)) continue;
      running = true;
      if (!is_known(slug)) found.items.push_back({.kind = "process", .what = lock, .slug = slug});
    }
    if (is_known(slug)) continue;
    if (struct stat status{}; !running && ::lstat(exec_socket_path(state).c_str(), &status) == 0)
      found.items.push_back({.kind = "socket", .what = exec_socket_path(state), .slug = slug});
    if (fs::exists(state + "/backend"))
      found.items.push_back({.kind = "directory", .what = state + "/backend", .slug = slug});
  }
  // Groups whose state is gone or not running: only those whose name says that they are of this home.
  const CgroupPlace place = find_cgroup_place();
  for (const std::string* parent : {&place.memory, &place.pids, &place.cpu}) {
    if (parent->empty()) continue;
    for (const std::string& name : directories_in(*parent)) {
      constexpr std::size_t suffix = sizeof "-01234567-bottle" - 1;
      if (name.size() <= suffix) continue;
      const std::string slug = name.substr(0, name.size() - suffix);
      const std::string state = root + "/" + slug;
      if (cgroup_name(slug, state, Component::bottle) != name || find_lock_holder(lock_path(state, Component::bottle)))
        continue;
      const std::string what = *parent + "/" + name;
      if (std::ranges::none_of(found.items, [&](const sdk::OrphanItem& item) { return item.what == what; }))
        found.items.push_back({.kind = "cgroup", .what = what, .slug = slug});
    }
  }
  return found;
}

void LocalBackend::cleanup(const sdk::Call& call, const sdk::Orphans& orphans) {
  const std::string root = host().path(call, "state");
  std::string stayed;
  const auto note = [&](const std::string& what, const Error& error) {
    stayed += (stayed.empty() ? "" : "; ") + what + ": " + error.message;
  };
  for (const sdk::OrphanItem& item : orphans.items) {
    // The document came from us, but by way of others: everything is derived again from the slug.
    if (item.slug.empty() || item.slug.find('/') != std::string::npos || item.slug.starts_with('.')) continue;
    const std::string state = root + "/" + item.slug;
    if (item.kind == "process") {
      for (const Component component : {Component::bottle, Component::sidecar})
        if (item.what == lock_path(state, component))
          if (auto ended = end_keeper(item.what, grace); !ended) note(item.what, ended.error());
    } else if (item.kind == "cgroup") {
      if (find_lock_holder(lock_path(state, Component::bottle))) continue;  // it was started again meanwhile
      if (auto removed = remove_cgroup(groups_of(item.slug, state)); !removed) note(item.what, removed.error());
    } else if (item.kind == "socket" && item.what == exec_socket_path(state)) {
      ::unlink(item.what.c_str());
    } else if (item.kind == "directory" && item.what == state + "/backend") {
      remove_made(item.what);
      if (auto removed = remove_tree(item.what); !removed) note(item.what, removed.error());
    }
  }
  std::erase_if(keepers_, [](pid_t pid) { return ::waitpid(pid, nullptr, WNOHANG) != 0; });
  if (::geteuid() == 0) sweep_uids();
  if (!stayed.empty())
    throw sdk::Error(sdk::Status::failed_precondition, "not everything could be cleaned up: " + stayed);
}

}  // namespace bot_bottle::backend_local
