// Files that run, or decide what runs, on the host without being started by name (attack group G). Pure.
#pragma once

#include <string>
#include <string_view>

namespace bot_bottle::sync {

/// Why a change of `path` (relative, any bytes) needs a look of its own; empty: it does not. Names are compared without
/// case, as file systems may.
std::string autorun_reason(std::string_view path);

}  // namespace bot_bottle::sync
