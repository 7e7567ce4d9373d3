// Small things that several verbs show or need in the same way.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/cli/context.hpp"
#include "core/manifest/manifest.hpp"
#include "core/policy/egress.hpp"

namespace bot_bottle::cli {

/// "~/x" for what is below the operator's home, "./x" below the working directory; else as it is. Not escaped.
std::string short_path(const std::filesystem::path& path);
/// short_path with ":line" when known.
std::string short_place(const manifest::Place& place);

/// "GET, POST /v1/ (prefix)", one per entry; empty when everything on the host matches.
std::vector<std::string> describe_matches(const policy::Route& route);
/// "[auth:Bearer]": the scheme as the manifest writes it; never the value.
std::string describe_auth(const policy::Route& route);
/// "token_patterns, known_secrets", "off", "inbound" …
std::string describe_dlp(const policy::Route& route);

/// Prints a manifest's warnings to stderr.
void show_faults(Context& context, const std::vector<manifest::Fault>& faults);

}  // namespace bot_bottle::cli
