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

/// Files below `writable` may be read, written and made; below `readable` only read; nothing else is opened from here
/// on. A kernel without Landlock is not an error: `status` tells. Never partial: an error means that nothing may go on.
Result<Confinement> confine(const std::vector<std::string>& writable, const std::vector<std::string>& readable);

json::object to_json(const Confinement& confinement);

}  // namespace bot_bottle::sidecar
