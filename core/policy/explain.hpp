// Words that decide.cpp and explain.cpp share.
#pragma once

#include <string>

#include "core/policy/decide.hpp"

namespace bot_bottle::policy {

/// "GET,POST /v1/… x-team=blue"; "all" for what matches everything.
std::string to_text(const Match& match);
/// What would have to change in the routes for the request to pass, in the manifest's words; empty when it passes.
std::string change_for(const Decision& decision, const RequestView& request);

}  // namespace bot_bottle::policy
