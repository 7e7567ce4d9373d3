// exec, attach and the copies: all through bottle-init's relay in the running container.
#include "core/base/json.hpp"
#include "plugins/backend-apple/apple_backend.hpp"

namespace bot_bottle::backend_apple {
namespace {

std::string container_of(const sdk::Bottle& bottle) {
  return get_string(bottle.data, "container", container_name(bottle.state_dir));
}

}  // namespace

driven::OpenChannel AppleBackend::channel(const sdk::Call& call, const sdk::Bottle& bottle) {
  ContainerTool* const with = &tool(call);
  return [with, container = container_of(bottle), user = user_of(bottle.data)] {
    return open_relay(*with, container, user);
  };
}

sdk::ExecResult AppleBackend::exec(const sdk::Call& call, const sdk::Bottle& bottle, const sdk::ExecRequest& request,
                                   int stdin_fd) {
  return driven::exec_in_guest(call, channel(call, bottle), bottle, request, stdin_fd);
}

sdk::Attach AppleBackend::attach_argv(const sdk::Call& call, const sdk::Bottle& bottle,
                                      const sdk::ExecRequest& request) {
  const driven::Tool& with = tool(call).tool();
  json::object document = driven::attach_document(bottle, request);
  json::object env;
  for (const auto& [name, value] : with.environment()) env[name] = value;
  document["tool"] = {
      {"argv", to_array(with.argv(ContainerTool::relay_arguments(container_of(bottle), user_of(bottle.data))))},
      {"env", std::move(env)}};
  sdk::Attach attach;
  attach.argv = {host().path(call, "libexec") + "/bottle-driven", "attach"};
  attach.env["BB_ATTACH_REQUEST"] = to_text(document);
  return attach;
}

void AppleBackend::copy_in(const sdk::Call& call, const sdk::Bottle& bottle, const sdk::CopyRequest& request) {
  driven::copy_into_guest(call, channel(call, bottle), request);
}

void AppleBackend::copy_out(const sdk::Call& call, const sdk::Bottle& bottle, const sdk::CopyRequest& request) {
  driven::copy_out_of_guest(host(), call, channel(call, bottle), bottle.state_dir, request);
}

}  // namespace bot_bottle::backend_apple
