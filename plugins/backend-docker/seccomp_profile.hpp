// The system-call filter of a bottle as the engine takes it (moby, profiles/seccomp).
#pragma once

#include "core/base/json.hpp"

namespace bot_bottle::backend_docker {

/// What local's two programs let through (seccomp.hpp), as one allow-list: conditions that deny there are turned round.
/// The rest is EPERM, and ENOSYS where programs fall back only then.
json::object make_seccomp_profile();

}  // namespace bot_bottle::backend_docker
