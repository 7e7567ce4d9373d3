// The operator's end of a program in a bottle: this process's standard input, output and error, through a GuestChannel.
// A terminal is put into raw mode and relayed to the bottle's own pty; its size follows.
#pragma once

#include <functional>
#include <memory>

#include "core/base/json.hpp"
#include "plugins/backend-driven/guest_channel.hpp"

namespace bot_bottle::driven {

/// Runs the bot-bottle.exec/1 of $BB_ATTACH_REQUEST over the channel that `open` makes of it. The program's code; 127
/// or 126 when there is no such program or it cannot be run; 125 when nothing ran, with the reason on standard error.
int run_attach(const char* program,
               const std::function<std::unique_ptr<GuestChannel>(const json::object& request)>& open);

}  // namespace bot_bottle::driven
