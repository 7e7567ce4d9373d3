// What a change of the routes would let a credential do that it could not do before. Pure; asked by the sidecar before
// it takes edited routes: a credential's reach never grows unless the operator said so.
#pragma once

#include <string>
#include <vector>

#include "core/policy/egress.hpp"

namespace bot_bottle::policy {

/// One line for each way in which `after` sends a credential where, or with what, `before` did not: a new or another
/// credential, more of its host, another address behind the host's name, plain HTTP, a port, git. A doubt is a line.
/// Empty: no credential reaches further. Lines name secrets, never values; hosts and paths may be hostile.
std::vector<std::string> credential_widening(const Egress& before, const Egress& after);

}  // namespace bot_bottle::policy
