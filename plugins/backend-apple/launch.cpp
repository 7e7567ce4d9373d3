// build, start_sidecar and launch.
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "plugins/backend-apple/apple_backend.hpp"
#include "plugins/backend-apple/carry_over.hpp"
#include "plugins/backend-apple/create_arguments.hpp"
#include "plugins/backend-apple/images.hpp"
#include "plugins/backend-driven/guest_files.hpp"
#include "plugins/backend-driven/host_sidecar.hpp"
#include "plugins/backend-driven/machine_record.hpp"
#include "plugins/backend-driven/plan_parts.hpp"
#include "plugins/backend-driven/tar_text.hpp"
#include "plugins/backend-driven/wire_sockets.hpp"

namespace bot_bottle::backend_apple {
namespace {

/// hosts, resolv.conf and trust, in place of what the image and the tool have put there.
std::string launch_archive(const sdk::Plan& plan, const std::string& ca_pem) {
  driven::TarText tar;
  tar.directory("etc", 0755);
  std::string hosts = "127.0.0.1 localhost bottle";
  for (const std::string& name : get_strings(plan.data, "endpoint_names")) hosts += " " + name;
  tar.file("etc/hosts", 0644, hosts + "\n");
  tar.file("etc/resolv.conf", 0644, "nameserver 127.0.0.1\n");
  if (ca_pem.empty()) return tar.finish();
  return tar.take() + driven::trust_archive(ca_pem);
}

/// What the tool made of it, before it runs; what it does is asked for inside, by the self-test. Of the very one that
/// is started: another one may have a copy of its labels.
void check_made(const std::optional<Owned>& made, const std::string& container) {
  const std::string hint = "container inspect " + container + "; update container";
  if (!made) throw sdk::Error(sdk::Status::failed_precondition, "the container " + container + " is not there", hint);
  if (made->id != container)
    throw sdk::Error(sdk::Status::failed_precondition,
                     "the container " + made->id + " has the labels of the bottle whose container is " + container,
                     "container delete " + made->id + ", if it is nobody's");
  if (!made->is_without_network)
    throw sdk::Error(sdk::Status::failed_precondition,
                     "the container " + container + " has a network, although it was made with --network none", hint);
}

}  // namespace

void AppleBackend::build(const sdk::Call& call, const sdk::Plan& plan) {
  ensure_images(tool(call), call, plan, {host().path(call, "home"), host().path(call, "operator-home")},
                host().path(call, "libexec"));
}

sdk::Sidecar AppleBackend::start_sidecar(const sdk::Call& call, const sdk::Plan& plan, int config_fd, int lifeline_fd) {
  check_usable(tool(call));
  // From here on there may be something of ours: others that keep sockets or a sidecar there leave it alone.
  driven::save_record(plan.state_dir, {{"backend", backend_name}, {"name", container_name(plan.state_dir)}});
  const std::vector<std::string> endpoints = get_strings(plan.data, "endpoint_names");
  return driven::start_host_sidecar(host(), call,
                                    {.slug = plan.slug,
                                     .agent = get_string(plan.data, "agent"),
                                     .label = get_string(plan.data, "label"),
                                     .state_dir = plan.state_dir,
                                     .rules_database = get_string(plan.data, "rules_database"),
                                     .arguments = {},
                                     .disabled_guards = get_strings(plan.data, "disabled_guards"),
                                     .has_git_gate = std::ranges::find(endpoints, "git-gate") != endpoints.end()},
                                    config_fd, lifeline_fd);
}

void AppleBackend::start_agent(const sdk::Call& call, const sdk::Plan& plan, const sdk::LaunchInputs& inputs,
                               const std::string& container, bool is_new) {
  ContainerTool& with = tool(call);
  const std::string user = user_of(plan.data);
  const driven::OpenChannel open = [&] { return open_relay(with, container, user); };
  with.start(container);
  try {
    // Only bottle-init runs so far; what is root's in there was never the agent's to change.
    with.run_as_root(container, {driven::guest_init, "--unpack", "/"}, launch_archive(plan, inputs.ca_pem),
                     "put the bottle's certificates and names in place");
  } catch (sdk::Error& error) {
    const std::string said = error.status == sdk::Status::cancelled ? "" : with.last_words(container);
    if (!said.empty()) error.message += " (" + said + ")";
    throw;
  }
  unpack_carried(call, with, plan);
  if (is_new && get_string(plan.data, "workspace_mode") == "copy" && get_string(plan.data, "snapshot").empty())
    driven::copy_tree_into_guest(call, open, get_string(plan.data, "workspace_source"),
                                 get_string(plan.data, "workspace_path"), host().path(call, "home"));
}

sdk::Bottle AppleBackend::launch(const sdk::Call& call, const sdk::Plan& plan, const sdk::LaunchInputs& inputs,
                                 int lifeline_fd) {
  ContainerTool& with = tool(call);
  const std::string container = container_name(plan.state_dir);
  const bool reuse = get_bool(plan.data, "reuse", false);
  auto there = with.find(plan.state_dir);
  if (there && !there->is_stopped())
    throw sdk::Error(sdk::Status::already_exists, "the bottle of " + plan.slug + " runs already");
  // Two machines on one disk, and the old one on the new sidecar's sockets.
  if (there && reuse) with.check_ended(there->id);
  driven::link_sockets(call, plan.state_dir, mounted_sockets(plan.data));
  const bool keeps = reuse && (there || has_carried(plan.state_dir));
  try {
    // Before anything runs, the old one, too: from here on the end of the operator's process is the end of the machine.
    driven::start_lifeline_keeper(
        host(), call, with.tool(),
        {.state_dir = plan.state_dir, .commands = {{"stop", "--time", "3", container}, {"kill", container}}},
        lifeline_fd);
    if (there && reuse && there->made_as != made_as(plan)) {
      check_made(there, container);
      carry_over(call, with, plan, container);
    }
    if (there && (!reuse || there->made_as != made_as(plan))) {
      with.remove(plan.state_dir);
      there.reset();
    }
    if (!there) with.create(create_arguments(plan));
    check_made(with.find(plan.state_dir), container);
    start_agent(call, plan, inputs, container, !keeps);
  } catch (...) {
    // On failure nothing is left behind but, on resume, what was there before.
    with.set_cancel_fd(-1);
    try {
      static_cast<void>(driven::end_lifeline_keeper(plan.state_dir));
      if (keeps)
        with.end(plan.state_dir);
      else
        with.remove(plan.state_dir);
    } catch (const std::exception& error) {
      host().warning(std::string("what a failed start made may be left: ") + error.what());
    }
    throw;
  }
  sdk::Bottle bottle;
  bottle.slug = plan.slug;
  bottle.backend = backend_name;
  bottle.state_dir = plan.state_dir;
  bottle.data = plan.data;
  bottle.data["container"] = container;
  std::vector<std::string> selftest{driven::guest_init, "--selftest"};
  for (const std::string& option : endpoint_options(plan.data)) selftest.insert(selftest.end(), {"--endpoint", option});
  bottle.extra["selftest"] = to_array(selftest);
  bottle.endpoints = driven::endpoint_addresses(plan.data);
  return bottle;
}

}  // namespace bot_bottle::backend_apple
