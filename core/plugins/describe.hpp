// Reads plugin.toml and finds plugin directories; opens no library.
// Hostile input: plugin.toml of a contrib directory. Strict: an unknown key, a control character or a path is refused.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/plugins/registry.hpp"
#include "core/plugins/trust.hpp"

namespace bot_bottle::plugins {

/// A directory as it describes itself: ready, not_described (no plugin.toml) or refused. Trust is not looked at.
Description describe_directory(const std::filesystem::path& directory, Description::Location location);

/// Contrib, then installed, each sorted by name; the first of a name that may be used wins, later ones are `shadowed`.
/// Contrib plugins are `untrusted` unless the store has their hash or `trust_all` is set.
std::vector<Description> discover(const Home& home, const Installation& installation, const TrustStore& trust,
                                  bool trust_all);

/// "backend:local" → {"backend", "local"}; an empty kind when there is no colon.
std::pair<std::string, std::string> split_provided(const std::string& provided);

/// The table's id of a kind ("backend" → "bot-bottle.backend/1"); empty for a kind we do not know.
std::string interface_id_of(const std::string& kind);

}  // namespace bot_bottle::plugins
