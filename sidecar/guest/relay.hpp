// `bottle-init --relay`: one exec request over standard input and output, for backends whose engine can start a program
// in the bottle but carries no descriptor in. The engine runs it; it asks pid 1 through its abstract exec socket, so
// that what runs is pid 1's child with all of its limits, and copies bytes between frames (protocol.hpp) and the
// program.
#pragma once

#include <string>

namespace bot_bottle::guest {

/// The name of pid 1's exec socket in the bottle's own network namespace.
inline constexpr const char* exec_socket_name = "bot-bottle-exec";

/// Reads frames from descriptor 0 and writes frames to 1 until the program has ended or the operator's side has gone.
/// Waits for pid 1 to listen (at most 10 s). Returns the exit code of the relay itself: 0, or 125 when there is no pid
/// 1 to ask.
int run_relay(const std::string& socket_name);

}  // namespace bot_bottle::guest
