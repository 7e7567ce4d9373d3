// `bot-bottle supervise`: the loop that joins the bottles, the keys and the terminal.
#pragma once

#include <filesystem>

#include "core/base/paths.hpp"
#include "core/screen/surface.hpp"

namespace bot_bottle::screen {

struct Options {
  Home home;
  std::filesystem::path program;  // bot-bottle itself, for attach, start, stop, commit
  Color color = Color::yes;
};
/// Until the operator leaves, or a signal ends it. The exit code. Throws Failure when the terminal cannot be used.
int run(const Options& options);

}  // namespace bot_bottle::screen
