// bottle-docker: the operator's end of a program in a bottle on docker (backend-driven/attachment.hpp). The request
// says with `docker`: {socket, container, user} which one.
#include "bot_bottle/plugin.hpp"
#include "plugins/backend-docker/guest_stream.hpp"
#include "plugins/backend-driven/attachment.hpp"

namespace bot_bottle::backend_docker {
namespace {

int attach() {
  std::unique_ptr<Engine> engine;
  return driven::run_attach("bottle-docker", [&](const json::object& request) -> std::unique_ptr<driven::GuestChannel> {
    const json::object* docker = find_object(request, "docker");
    if (docker == nullptr) throw sdk::Error(sdk::Status::invalid_argument, "BB_ATTACH_REQUEST is not a request");
    engine = std::make_unique<Engine>(get_string(*docker, "socket"));
    return std::make_unique<GuestStream>(*engine, get_string(*docker, "container"), get_string(*docker, "user"));
  });
}

}  // namespace
}  // namespace bot_bottle::backend_docker

int main() {
  return bot_bottle::backend_docker::attach();
}
