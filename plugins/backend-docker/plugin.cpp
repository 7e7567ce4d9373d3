// The one exported symbol.
#include "plugins/backend-docker/docker_backend.hpp"
#include "plugins/backend-docker/docker_freezer.hpp"

BOT_BOTTLE_PLUGIN("backend-docker", "0.1.0", "Runs bottles in containers of an engine on this machine",
                  bot_bottle::backend_docker::DockerBackend, bot_bottle::backend_docker::DockerFreezer)
