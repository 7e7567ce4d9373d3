// exec, attach, the copies; stop, remove, enumerate, orphans, cleanup. Whose a machine is says the record in the
// bottle's state, and from smolvm 1.8 its labels; a machine that neither names is never touched.
#include <algorithm>
#include <filesystem>
#include <functional>
#include <set>

#include "core/base/file.hpp"
#include "core/base/safe_path.hpp"
#include "plugins/backend-driven/host_sidecar.hpp"
#include "plugins/backend-driven/machine_record.hpp"
#include "plugins/backend-smolvm/labels.hpp"
#include "plugins/backend-smolvm/smolvm_backend.hpp"

namespace bot_bottle::backend_smolvm {
namespace {

namespace fs = std::filesystem;

/// What several steps could not do; the others are done all the same.
class Stayed {
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
  void note(const std::string& what, const std::string& hint = {}) {
    text_ += (text_.empty() ? "" : "; ") + what;
    if (hint_.empty()) hint_ = hint;
  }
  void check(const std::string& what) const {
    if (!text_.empty()) throw sdk::Error(sdk::Status::failed_precondition, what + ": " + text_, hint_);
  }

 private:
  std::string text_;
  std::string hint_;  // of the first
};

/// Where bottles of ours are, or may be: `records`. A program that cannot be asked is "unavailable", which the core
/// takes for "nothing of it runs": that would be a lie, and cleanup would forget machines that run.
template <typename List>
std::vector<MachineStatus> list_where_it_matters(const std::vector<driven::RecordedMachine>& records, List&& list) {
  try {
    return list();
  } catch (const sdk::Error& error) {
    if (error.status != sdk::Status::unavailable) throw;
    // Where it is a record alone that keeps us, it is what is to be mended.
    if (std::ranges::none_of(records, [](const driven::RecordedMachine& record) { return record.problem.empty(); }))
      throw sdk::Error(sdk::Status::failed_precondition, records.front().problem, error.hint);
    throw sdk::Error(sdk::Status::failed_precondition, error.message, error.hint);
  }
}

bool is_running(const std::vector<MachineStatus>& machines, const driven::RecordedMachine& recorded) {
  const std::string name = driven::machine_name(recorded.state_dir);
  return std::ranges::any_of(machines, [&](const MachineStatus& status) {
    return status.name == name && !is_stopped(status) &&
           owner_of(status, recorded.record, recorded.state_dir) != Owner::other;
  });
}

/// Whether there may be something of ours under that name. Throws when that cannot be said.
bool has_machine(const std::function<Machines&()>& machines, const std::string& state_dir) {
  const std::string name = driven::machine_name(state_dir);
  const auto record = driven::load_record(state_dir);
  if (!record) {
    // Most likely nothing was made: the program need not even be there.
    try {
      static_cast<void>(machines());
    } catch (const sdk::Error& error) {
      if (error.status == sdk::Status::unavailable) return false;
      throw;
    }
  }
  const auto status = machines().find(name);
  if (!status) return record.has_value();
  const bool has_label = get_string(status->labels, label_state) == state_dir;
  if (!record && (has_label || abilities_of(machines().version()).has_labels)) return has_label;
  if (!record)
    throw sdk::Error(sdk::Status::failed_precondition,
                     "there is a machine " + name + ", and no record says whether it is bot-bottle's",
                     "delete it yourself: smolvm machine delete");
  const Owner owner = owner_of(*status, *record, state_dir);
  if (owner == Owner::lost)
    throw sdk::Error(sdk::Status::failed_precondition,
                     "a machine of its name, " + name + ", has lost its label " + label_state + ": it may be ours",
                     "delete it yourself: smolvm machine delete --name " + name);
  return owner == Owner::ours;
}

}  // namespace

sdk::ExecResult SmolvmBackend::exec(const sdk::Call& call, const sdk::Bottle& bottle, const sdk::ExecRequest& request,
                                    int stdin_fd) {
  return driven::exec_in_guest(call, machines(call).relay(driven::machine_name(bottle.state_dir)), bottle, request,
                               stdin_fd);
}

sdk::Attach SmolvmBackend::attach_argv(const sdk::Call& call, const sdk::Bottle& bottle,
                                       const sdk::ExecRequest& request) {
  const driven::Tool& tool = machines(call).tool();
  json::object document = driven::attach_document(bottle, request);
  json::object env;
  for (const auto& [name, value] : tool.environment()) env[name] = value;
  document["tool"] = {{"argv", to_array(tool.argv(Machines::relay_arguments(driven::machine_name(bottle.state_dir))))},
                      {"env", std::move(env)}};
  sdk::Attach attach;
  attach.argv = {host().path(call, "libexec") + "/bottle-driven", "attach"};
  attach.env["BB_ATTACH_REQUEST"] = bot_bottle::to_text(document);
  return attach;
}

void SmolvmBackend::copy_in(const sdk::Call& call, const sdk::Bottle& bottle, const sdk::CopyRequest& request) {
  driven::copy_into_guest(call, machines(call).relay(driven::machine_name(bottle.state_dir)), request);
}

void SmolvmBackend::copy_out(const sdk::Call& call, const sdk::Bottle& bottle, const sdk::CopyRequest& request) {
  driven::copy_out_of_guest(host(), call, machines(call).relay(driven::machine_name(bottle.state_dir)),
                            bottle.state_dir, request);
}

void SmolvmBackend::stop(const sdk::Call& call, const sdk::Bottle& bottle) {
  Stayed stayed;
  // The agent first: the sidecar sees its last bytes and writes them down.
  stayed.attempt([&] { or_throw(driven::end_lifeline_keeper(bottle.state_dir)); });
  stayed.attempt([&] {
    if (has_machine([&]() -> Machines& { return machines(call); }, bottle.state_dir))
      machines(call).stop(driven::machine_name(bottle.state_dir));
  });
  stayed.attempt([&] { or_throw(driven::end_host_sidecar(bottle.state_dir)); });
  stayed.check("not everything of " + bottle.slug + " could be stopped");
}

void SmolvmBackend::remove(const sdk::Call& call, const sdk::Bottle& bottle) {
  Stayed stayed;
  stayed.attempt([&] { or_throw(driven::end_lifeline_keeper(bottle.state_dir)); });
  const std::string name = driven::machine_name(bottle.state_dir);
  bool gone = false;
  stayed.attempt([&] {
    if (has_machine([&]() -> Machines& { return machines(call); }, bottle.state_dir)) machines(call).remove(name);
    gone = true;
  });
  stayed.attempt([&] { or_throw(driven::end_host_sidecar(bottle.state_dir)); });
  // The record is what cleanup finds a machine by: it goes last, and stays with what stayed.
  if (gone)
    if (auto removed = remove_tree(bottle.state_dir + "/backend"); !removed) stayed.note(removed.error().message);
  stayed.check("not everything of " + bottle.slug + " could be removed");
}

sdk::Bottles SmolvmBackend::enumerate(const sdk::Call& call) {
  sdk::Bottles found;
  const std::vector<driven::RecordedMachine> records = driven::list_records(host().path(call, "state"), backend_name);
  if (records.empty()) return found;  // the program is not asked for nothing: `list` is fast
  const std::vector<MachineStatus> there = list_where_it_matters(records, [&] { return machines(call).list(); });
  for (const driven::RecordedMachine& machine : records) {
    const bool bottle = is_running(there, machine);
    const bool sidecar = driven::is_sidecar_running(machine.state_dir);
    if (!bottle && !sidecar) continue;
    sdk::RunningBottle running;
    running.slug = machine.slug;
    running.state_dir = machine.state_dir;
    running.status = bottle && sidecar ? "running" : "degraded";
    running.agent = get_string(machine.record, "agent");
    running.label = get_string(machine.record, "label");
    running.started_at = get_string(machine.record, "started_at");
    if (sidecar) running.services = get_strings(machine.record, "endpoints");
    found.bottles.push_back(std::move(running));
  }
  return found;
}

sdk::Orphans SmolvmBackend::orphans(const sdk::Call& call, const std::vector<std::string>& known) {
  sdk::Orphans found;
  const std::string root = host().path(call, "state");
  const auto is_known = [&](const std::string& slug) { return std::ranges::find(known, slug) != known.end(); };
  std::set<std::string> named;
  const std::vector<driven::RecordedMachine> records = driven::list_records(root, backend_name);
  for (const driven::RecordedMachine& machine : records) {
    if (is_known(machine.slug)) continue;
    const std::string name = driven::machine_name(machine.state_dir);
    named.insert(name);
    found.items.push_back({.kind = "machine", .what = name, .slug = machine.slug});
  }
  // A machine whose state is gone: by its label, and only of this home.
  std::vector<MachineStatus> there;
  if (found.items.empty()) {
    try {
      there = machines(call).list();
    } catch (const sdk::Error& error) {
      if (error.status != sdk::Status::unavailable) throw;
      return found;  // no program, no machines
    }
  } else {
    there = list_where_it_matters(records, [&] { return machines(call).list(); });
  }
  for (const MachineStatus& status : there) {
    const std::string state_dir = get_string(status.labels, label_state);
    const std::string slug = fs::path(state_dir).filename().string();
    if (named.contains(status.name) || is_known(slug) || fs::path(state_dir).parent_path() != root ||
        driven::machine_name(state_dir) != status.name)
      continue;
    found.items.push_back({.kind = "machine", .what = status.name, .slug = slug});
  }
  return found;
}

void SmolvmBackend::cleanup(const sdk::Call& call, const sdk::Orphans& orphans) {
  const std::string root = host().path(call, "state");
  Stayed stayed;
  for (const sdk::OrphanItem& item : orphans.items) {
    // The document came from us, but by way of others: everything is derived again from the slug.
    if (item.slug.empty() || item.slug.find('/') != std::string::npos || item.slug.starts_with('.')) continue;
    sdk::Bottle bottle;
    bottle.slug = item.slug;
    bottle.state_dir = root + "/" + item.slug;
    if (item.what != driven::machine_name(bottle.state_dir)) continue;
    stayed.attempt([&] {
      if (!driven::load_record(bottle.state_dir) &&
          !has_machine([&]() -> Machines& { return machines(call); }, bottle.state_dir))
        return;
      remove(call, bottle);
    });
  }
  stayed.check("not everything could be cleaned up");
}

}  // namespace bot_bottle::backend_smolvm
