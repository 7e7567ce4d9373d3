// The image recipe that an agent asked for and an operator approved (spec 06, capability-block): a whole Dockerfile, or
// packages on top of the bottle's own. The sidecar records it, `resume` builds it. Hostile input: all of it, on both
// sides: the agent wrote it, and the file comes from the sidecar's own directory. Never throws.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "core/base/json.hpp"
#include "core/base/result.hpp"

namespace bot_bottle::supervise {

/// Relative to the sidecar's working directory, the bottle's state.
inline constexpr std::string_view recipe_directory = "supervise";

/// `{"dockerfile": text}` or `{"packages": [name, …]}` in its one spelling. Refused: text that a terminal would not
/// show as it is, more than 16 KiB, parser directives (they choose what reads the rest), COPY and ADD (there is no
/// context), names that are no Debian package's.
Result<json::object> parse_recipe(const json::object& document);

/// What `directory/recipe.json` holds; null when there is none, or none that can be used.
json::value recorded_recipe(const std::filesystem::path& directory);
/// Durable on return.
Result<void> record_recipe(const std::filesystem::path& directory, const json::object& recipe);

/// As a person reads it: the lines of the Dockerfile as the lines they are, or the packages.
std::string recipe_lines(const json::object& recipe);
/// A recipe's name: SHA-256 of its one spelling, in hex. Nothing: it is none.
std::string recipe_hash(const json::object& recipe);

/// The Dockerfile to build: the recipe's own, or `base` with the packages installed by root and the agent as the last
/// user.
std::string dockerfile_of(const json::object& recipe, std::string_view base);

}  // namespace bot_bottle::supervise
