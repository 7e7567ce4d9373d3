// The system-call filters of a bottle and of its sidecar, as BPF programs for `bwrap --add-seccomp-fd`.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/result.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::backend_local {

enum class UserNamespaces : std::uint8_t { refused, allowed_for_test };

/// Two programs, in the order in which they are to be installed. The first is the allow-list (anything not on it is
/// ENOSYS, which programs take for an old kernel); the second takes out what an allow-list of libseccomp cannot
/// express: single ioctls, clone flags, socket kinds. The kernel applies the stricter answer of both. Other ABIs (i386,
/// x32) are killed.
Result<std::vector<UniqueFd>> make_seccomp_programs(UserNamespaces user_namespaces = UserNamespaces::refused);

/// The names that the first program lets through with any arguments: for backends whose engine builds the filter.
std::span<const char* const> allowed_system_calls();

}  // namespace bot_bottle::backend_local
