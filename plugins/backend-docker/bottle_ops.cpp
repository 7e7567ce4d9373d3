// exec, attach and the copies: what is done to a running bottle, through its relay (backend-driven).
#include "core/base/json.hpp"
#include "plugins/backend-docker/docker_backend.hpp"
#include "plugins/backend-docker/guest_stream.hpp"
#include "plugins/backend-driven/guest_ops.hpp"

namespace bot_bottle::backend_docker {
namespace {

std::string user_of(const sdk::Bottle& bottle) {
  return std::to_string(get_int(bottle.data, "uid", 1000)) + ":" + std::to_string(get_int(bottle.data, "gid", 1000));
}

std::string container_of(Engine& engine, const sdk::Bottle& bottle) {
  const std::string known = get_string(bottle.data, "container");
  return known.empty() ? running_agent(engine, bottle.state_dir) : known;
}

driven::OpenChannel relay_of(Engine& engine, const sdk::Bottle& bottle) {
  return [&engine, &bottle] {
    return std::make_unique<GuestStream>(engine, container_of(engine, bottle), user_of(bottle));
  };
}

}  // namespace

std::string running_agent(Engine& engine, const std::string& state_dir) {
  for (const Owned& owned : list_owned(engine, Which::containers, state_dir))
    if (owned.component == "agent" && owned.running) return owned.id;
  throw sdk::Error(sdk::Status::failed_precondition, "the bottle is not running");
}

sdk::ExecResult DockerBackend::exec(const sdk::Call& call, const sdk::Bottle& bottle, const sdk::ExecRequest& request,
                                    int stdin_fd) {
  return driven::exec_in_guest(call, relay_of(engine(call), bottle), bottle, request, stdin_fd);
}

sdk::Attach DockerBackend::attach_argv(const sdk::Call& call, const sdk::Bottle& bottle,
                                       const sdk::ExecRequest& request) {
  json::object document = driven::attach_document(bottle, request);
  Engine& to = engine(call);
  document["docker"] = {{"socket", to.socket()}, {"container", container_of(to, bottle)}, {"user", user_of(bottle)}};
  sdk::Attach attach;
  attach.argv = {host().path(call, "libexec") + "/bottle-docker"};
  attach.env["BB_ATTACH_REQUEST"] = to_text(document);
  return attach;
}

void DockerBackend::copy_in(const sdk::Call& call, const sdk::Bottle& bottle, const sdk::CopyRequest& request) {
  driven::copy_into_guest(call, relay_of(engine(call), bottle), request);
}

void DockerBackend::copy_out(const sdk::Call& call, const sdk::Bottle& bottle, const sdk::CopyRequest& request) {
  driven::copy_out_of_guest(host(), call, relay_of(engine(call), bottle), bottle.state_dir, request);
}

}  // namespace bot_bottle::backend_docker
