// What sandbox-exec(1) lets the sidecar do on macOS. Text only, so that every system compiles and tests it; it was not
// run on macOS by us so far: there was no Mac.
#pragma once

#include <string>

#include "plugins/backend-driven/host_sidecar.hpp"

namespace bot_bottle::driven {

/// The profile for `sandbox-exec -p`. Denied is what is not named: it reads the system's libraries and its own parts,
/// writes its own directories of the state, speaks IP, asks mDNSResponder for names, and has Unix sockets in its `wire`
/// and `control` alone: those of the operator (an engine's, ssh-agent's) are no concern of its. Nothing of the
/// operator's home; git and ssh only where the git-gate runs them. `libexec`, `share`: absolute, ours.
std::string sidecar_profile(const HostSidecar& sidecar, const std::string& libexec, const std::string& share);

}  // namespace bot_bottle::driven
