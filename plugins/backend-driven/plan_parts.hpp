// What every backend's plan looks at in the same way. Nothing here writes.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "bot_bottle/plugin.hpp"
#include "core/base/json.hpp"

namespace bot_bottle::driven {

/// DESIGN 3: the guest's view of every wire.
inline constexpr std::pair<const char*, int> known_endpoints[] = {
    {"egress", 9099}, {"git-gate", 9418}, {"supervise", 9100}};

/// [{name, port}]. Throws invalid_argument for one that is not known.
json::array plan_endpoints(const std::vector<std::string>& names);

/// A plain absolute path that covers no part of the bottle's own. Throws invalid_argument.
void check_guest_path(const std::string& what, const std::string& path);

/// Puts workspace_mode, workspace_path and workspace_source into `data`, and for a copy its line into the summary.
/// Throws for what is not a directory and, for a mount, for a tree that holds the operator's home or our own (attack
/// H7).
void plan_workspace(const sdk::Spec& spec, const std::filesystem::path& home,
                    const std::filesystem::path& operator_home, sdk::Plan& plan, json::object& data);

/// Reads spec.extra's disabled_guards; throws unsupported in a build without test hooks.
std::vector<std::string> plan_disabled_guards(const sdk::Spec& spec);

/// {"name": …, "port": …} of plan_endpoints as the bottle document has it: "127.0.0.1:9099" each.
sdk::StringMap endpoint_addresses(const json::object& plan_data);

}  // namespace bot_bottle::driven
