// From a container's document to its first process.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "core/base/json.hpp"
#include "plugins/backend-docker/engine.hpp"
#include "plugins/backend-docker/names.hpp"

namespace bot_bottle::backend_docker {

/// A container of ours with this state directory and component, whatever it is called.
std::optional<Owned> find_own(Engine& engine, const std::string& state_dir, const std::string& component);
/// Its id. Throws already_exists where one of the name is there.
std::string create_container(Engine& engine, const std::string& name, const json::object& document);
/// Throws with the container's own last lines; `what` is for the operator ("the sidecar").
void start_container(Engine& engine, const std::string& container, const std::string& what);
/// Its first process as this machine numbers it; 0 where we are in another pid namespace than the engine. Throws
/// unavailable when it has ended.
pid_t process_of(Engine& engine, const std::string& container, const std::string& what);

}  // namespace bot_bottle::backend_docker
