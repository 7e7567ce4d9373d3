// What one engine can do, from its /info.
#pragma once

#include <string>
#include <vector>

#include "core/base/json.hpp"

namespace bot_bottle::backend_docker {

struct EngineFacts {
  std::string version;
  std::string problem;  // why no bottle can run there; empty: it can
  std::string fix;
  bool user_namespaces = false;  // the engine remaps uids
  std::vector<std::string> limits;
  struct Runtime {
    std::string name;
    bool gvisor = false;
    bool shares_sockets = false;  // sockets of the host can be connected to from inside
    bool has_network = true;      // it was not started with --network=none
    bool host_sockets = false;    // gVisor with --network=host
  };
  std::vector<Runtime> runtimes;
  std::string default_runtime;

  [[nodiscard]] const Runtime* find_runtime(const std::string& name) const;
};

EngineFacts read_facts(const json::object& info);

}  // namespace bot_bottle::backend_docker
