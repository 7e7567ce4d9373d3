// What attach and exec share: a running bottle of the operator, and one program in it.
#pragma once

#include <string>
#include <vector>

#include "core/cli/context.hpp"
#include "core/launch/session_file.hpp"
#include "core/plan/plan.hpp"
#include "core/plugins/registry.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::cli {

struct Entered {
  state::Directory directory;
  state::Metadata metadata;
  launch::SessionFile session;
  json::object bottle;
  plugins::Backend* backend = nullptr;
};

/// failed_precondition when it does not run.
Entered enter(Context& context, const std::string& slug);

/// Runs it with the operator's terminal or pipes; the exit code. `tint`: title and colour of the session.
enum class Tinted : std::uint8_t { no, yes };
int run_entered(const Entered& entered, plan::ExecRequest request, Tinted tinted);

}  // namespace bot_bottle::cli
