// Runs the attempts, each in a process of its own, and prints one line for each. Called by main.cpp.
#pragma once

#include <string>
#include <vector>

#include "sidecar/attack/attempt.hpp"

namespace bot_bottle::attack {

struct SuiteOptions {
  std::vector<std::string> only;  // ids or their beginnings: "1", "2.3", "5.6.1"
  std::vector<std::string> skip;  // the same, to be left out
  bool resources = false;         // group 7 too
};

/// In the order they run. Depends on the context: an attempt whose means are not given is left out.
std::vector<Attempt> select_attempts(const Context& context, const SuiteOptions& options);

/// In a child process with a time limit: an attempt may crash, hang or be killed by a filter without ending the suite.
Outcome run_attempt(const Attempt& attempt, const Context& context);

/// True where pid 1 is not bottle-init: some attempts signal pid 1, which would then be the host's.
bool is_outside();

std::string_view name_of(Verdict verdict);

}  // namespace bot_bottle::attack
