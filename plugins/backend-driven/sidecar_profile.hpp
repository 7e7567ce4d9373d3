// What sandbox-exec(1) lets the sidecar do on macOS. Text only, so that every system compiles and tests it; it was not
// run on macOS by us so far: there was no Mac.
#pragma once

#include <string>
#include <string_view>

#include "plugins/backend-driven/host_sidecar.hpp"

namespace bot_bottle::driven {

/// The profile for `sandbox-exec -p`. Denied is what is not named: it reads the system's libraries and its own parts,
/// writes its own directories of the state, speaks IP, asks mDNSResponder for names, and has Unix sockets in its `wire`
/// and `control` alone: those of the operator (an engine's, ssh-agent's) are no concern of its. Nothing of the
/// operator's home; git, its helper programs, ssh and the shell only where the git-gate runs them. `libexec`, `share`:
/// absolute, ours. `developer`: where git is (developer_directory below); without the git-gate it is not looked at.
std::string sidecar_profile(const HostSidecar& sidecar, const std::string& libexec, const std::string& share,
                            const std::string& developer);

/// PATH of the sidecar. `developer` comes first where there is one: /usr/bin/git is a shim, which looks for the real
/// one in places that the profile denies it.
std::string sidecar_path(const std::string& developer);

/// Of what `xcode-select --print-path` says: the directory of the Command Line Tools, or that in Xcode, with git in its
/// usr/bin and git's helper programs in its usr/libexec/git-core. Empty for anything else.
std::string developer_directory(std::string_view said);

}  // namespace bot_bottle::driven
