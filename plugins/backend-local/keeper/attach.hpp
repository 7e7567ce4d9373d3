// `bottle-keeper attach`.
#pragma once

#include <string>

namespace bot_bottle::backend_local {

/// Runs the bot-bottle.exec/1 of $BB_ATTACH_REQUEST through the exec socket at `socket` with this process's standard
/// input, output and error: a terminal is put into raw mode and relayed to the bottle's own pty, anything else goes
/// through pipes, so that no descriptor of the operator gets into the bottle. Returns the program's exit code; 125 when
/// it did not run.
int run_attach(const std::string& socket);

}  // namespace bot_bottle::backend_local
