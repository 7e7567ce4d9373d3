#include <sys/wait.h>

#include "plugins/backend-driven/host_sidecar.hpp"
#include "plugins/backend-local/keeper_start.hpp"
#include "plugins/backend-local/processes.hpp"

namespace bot_bottle::driven {
namespace {

using backend_local::Component;
constexpr std::chrono::milliseconds sidecar_grace{4'000};  // the keeper's own is 2 s

/// Its keeper is a child of whoever started it, which may be us.
void reap(pid_t pid) {
  ::waitpid(pid, nullptr, WNOHANG);
}

}  // namespace

sdk::Sidecar start_host_sidecar(const sdk::Host& host, const sdk::Call& call, const HostSidecar& sidecar, int config_fd,
                                int lifeline_fd) {
  const backend_local::SpawnedKeeper spawned =
      backend_local::spawn_sidecar(host, call,
                                   {.slug = sidecar.slug,
                                    .agent = sidecar.agent,
                                    .label = sidecar.label,
                                    .state_dir = sidecar.state_dir,
                                    .rules_database = sidecar.rules_database,
                                    .init_options = {"--hold", "/run/sidecar/state/wire/life.sock"},
                                    .arguments = sidecar.arguments,
                                    .disabled_guards = sidecar.disabled_guards},
                                   config_fd, lifeline_fd);
  const backend_local::StartedKeeper keeper = backend_local::await_keeper(call, spawned);
  sdk::Sidecar started;
  started.slug = sidecar.slug;
  started.control = sidecar.state_dir + "/control/control.sock";
  started.pid = keeper.init;
  return started;
}

bool is_sidecar_running(const std::string& state_dir) {
  return find_holder(backend_local::lock_path(state_dir, Component::sidecar)).has_value();
}

Result<void> end_host_sidecar(const std::string& state_dir) {
  return end_holder(backend_local::lock_path(state_dir, Component::sidecar), sidecar_grace);
}

void open_wire(const std::string& state_dir) {
  if (backend_local::is_root()) backend_local::open_wire_to_agent(state_dir);
}

std::vector<std::uint32_t> host_sidecar_peers() {
  return backend_local::sidecar_peers();
}

std::optional<pid_t> find_holder(const std::string& path) {
  return backend_local::find_lock_holder(path);
}

Result<void> end_holder(const std::string& path, std::chrono::milliseconds grace) {
  const auto holder = find_holder(path);
  auto ended = backend_local::end_keeper(path, grace);
  if (holder) reap(*holder);
  return ended;
}

}  // namespace bot_bottle::driven
