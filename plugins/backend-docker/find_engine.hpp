// Which engine: DOCKER_HOST, the chosen context, the usual sockets.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "core/base/result.hpp"

namespace bot_bottle::backend_docker {

struct EngineAddress {
  std::string socket;  // absolute
  std::string origin;  // "DOCKER_HOST", "the context 'x'", …: for messages
};

using Environment = std::function<std::optional<std::string>(const std::string&)>;

/// As the docker CLI decides (docs.docker.com, "Docker contexts"): DOCKER_HOST, else DOCKER_CONTEXT, else
/// `currentContext` of $DOCKER_CONFIG/config.json, whose meta.json names the endpoint; else the first socket that
/// exists of /var/run/docker.sock, the rootless engine's, and Podman's. An engine that is not on this machine (tcp,
/// ssh, TLS or not) is `unsupported` by name: the sidecar's sockets are files of this machine. `runtime_directory`:
/// /run, another one in tests.
Result<EngineAddress> find_engine(const Environment& environment, const std::filesystem::path& operator_home,
                                  const std::filesystem::path& run_directory = "/run");

}  // namespace bot_bottle::backend_docker
