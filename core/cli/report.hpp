// What main tells the operator when a verb failed.
#pragma once

#include <string>
#include <string_view>

#include "core/base/error.hpp"

namespace bot_bottle::cli {

class Context;

/// "0.1.0".
std::string_view version();

/// Writes HOME/logs/bug-*.log and returns its path; empty when it cannot be written. `type` names the exception.
std::string write_bug_log(Context& context, const std::string& verb, const std::string& type, const Error& error);

}  // namespace bot_bottle::cli
