// start_sidecar and launch: the two keepers. What a bottle needs before its own is in prepare.cpp.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "plugins/backend-local/etc_files.hpp"
#include "plugins/backend-local/keeper_start.hpp"
#include "plugins/backend-local/local_backend.hpp"
#include "plugins/backend-local/processes.hpp"

namespace bot_bottle::backend_local {

sdk::Sidecar LocalBackend::start_sidecar(const sdk::Call& call, const sdk::Plan& plan, int config_fd, int lifeline_fd) {
  const std::string& state = plan.state_dir;
  const SpawnedKeeper spawned = spawn_sidecar(host(), call,
                                              {.slug = plan.slug,
                                               .agent = get_string(plan.data, "agent"),
                                               .label = get_string(plan.data, "label"),
                                               .state_dir = state,
                                               .rules_database = get_string(plan.data, "rules_database"),
                                               .disabled_guards = get_strings(plan.data, "disabled_guards")},
                                              config_fd, lifeline_fd);
  keepers_.push_back(spawned.pid);
  // The bottle's files and its sandbox are made while the sidecar starts: both wait for the kernel more than they work.
  // Only bottle-init runs in it until launch. What fails here fails again in launch, which is asked about the bottle
  // and says so.
  drop_prepared();
  try {
    prepared_ = prepare_bottle(call, plan, lifeline_fd);
  } catch (const std::exception&) {
    prepared_.reset();
  }
  StartedKeeper keeper;
  try {
    keeper = await_keeper(call, spawned);
  } catch (...) {
    std::erase(keepers_, spawned.pid);
    drop_prepared();  // on failure nothing is left behind
    throw;
  }
  sdk::Sidecar sidecar;
  sidecar.slug = plan.slug;
  sidecar.control = state + "/control/control.sock";
  sidecar.pid = keeper.init;
  return sidecar;
}

void LocalBackend::drop_prepared() {
  if (!prepared_) return;
  // Its keeper may not hold its lock yet, so by pid: it is our child and not reaped.
  ::kill(prepared_->keeper.pid, SIGTERM);
  reap(prepared_->keeper.pid);
  if (prepared_->reserved.lock) release_uid(prepared_->reserved.uid, prepared_->reserved.lock.get());
  prepared_.reset();
}

sdk::Bottle LocalBackend::launch(const sdk::Call& call, const sdk::Plan& plan, const sdk::LaunchInputs& inputs,
                                 int lifeline_fd) {
  const std::string& state = plan.state_dir;
  if (prepared_ && (prepared_->state_dir != state || prepared_->lifeline != identity_of(lifeline_fd))) drop_prepared();
  if (!prepared_) prepared_ = prepare_bottle(call, plan, lifeline_fd);
  const Prepared prepared = std::move(*prepared_);
  prepared_.reset();
  StartedKeeper keeper;
  try {
    keeper = await_keeper(call, prepared.keeper);
  } catch (...) {
    std::erase(keepers_, prepared.keeper.pid);
    throw;
  }
  if (is_root()) open_wire_to_agent(state);
  if (!inputs.ca_pem.empty()) or_throw(add_trusted_ca(state + "/backend/etc", inputs.ca_pem));
  sdk::Bottle bottle = prepared.bottle;
  bottle.data["init"] = keeper.init;
  return bottle;
}

}  // namespace bot_bottle::backend_local
