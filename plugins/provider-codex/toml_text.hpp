// TOML in and out of JSON values, so that one search for credentials serves both. Used by copy_config.cpp, plugin.cpp.
// Hostile input: a config.toml that may have come from anywhere.
#pragma once

#include <bot_bottle/plugin.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace bot_bottle::provider_codex {

/// Nothing, and a reason without any of the text, for what is no TOML. Dates are left out: no setting of Codex is one.
std::optional<sdk::json::object> parse_toml(std::string_view text, std::string& reason);
/// null is left out.
std::string to_toml(const sdk::json::object& object);

}  // namespace bot_bottle::provider_codex
