// Small attempts on the kernel, told as outcomes.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "sidecar/attack/attempt.hpp"

namespace bot_bottle::attack {

/// "ENETUNREACH".
std::string errno_name(int number);

/// Judges a system call by its result (taken with errno right after it): blocked when it failed with one of `refusals`.
Outcome judge_call(long result, std::initializer_list<int> refusals);
/// What a kernel or a seccomp filter says to somebody without the right.
Outcome judge_privileged(long result);

/// Connects a TCP socket, at most 3 s. `own_loopback`: the address is one of the bottle's own, where "refused" is the
/// documented answer.
enum class Where { elsewhere, own_loopback };
Outcome dial_tcp(const std::string& address, std::uint16_t port, Where where);
/// Sends a datagram; success of send is enough to have escaped, but on the own loopback an answer is needed.
Outcome send_udp(const std::string& address, std::uint16_t port, std::string_view payload, Where where);
/// Opens `path`; blocked when it is absent or forbidden. Nothing is written or truncated.
Outcome open_path(const std::string& path, int flags);
/// First octets of a file, or nothing.
std::string read_start(const std::string& path, std::size_t size);

}  // namespace bot_bottle::attack
