// The sidecar gives up what it does not need before it reads a hostile byte (attack N): the parsers of a proxy are
// where an attacker would start. seccomp and namespaces come from the backend.
#pragma once

#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/result.hpp"

namespace bot_bottle::sidecar {

struct Confinement {
  bool not_dumpable = false;  // no ptrace by equals, no core: memory with secrets cannot be read from outside
  bool no_core = false;
  bool no_new_privileges = false;
  int landlock_abi = 0;  // 0: this kernel has none
};

/// What is open to the process and to every program it starts, from here on.
struct Access {
  std::vector<std::string> writable;  // below: read, written, made, moved about
  std::vector<std::string> readable;
  std::vector<std::string> executable;  // empty: nothing at all can be executed
};

/// Nothing but `access` is opened or executed from here on. A kernel without Landlock is not an error: `status` tells.
/// Never partial: an error means that nothing may go on.
Result<Confinement> confine(const Access& access);

json::object to_json(const Confinement& confinement);

}  // namespace bot_bottle::sidecar
