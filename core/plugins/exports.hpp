// What a library exports, read from its file: nothing of it runs. Hostile input: a library that is not trusted yet.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace bot_bottle::plugins {

/// Defined global and weak symbols of the dynamic table, sorted. `unsupported`: not an ELF file of this machine's width
/// (macOS); `invalid_argument`: a table that leads out of the file.
Result<std::vector<std::string>> exported_symbols(const std::filesystem::path& library);

}  // namespace bot_bottle::plugins
