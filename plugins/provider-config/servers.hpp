// What knows nothing of files: MCP definitions without credentials, and paths that move.
#pragma once

#include <bot_bottle/plugin.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace bot_bottle::provider_config {

/// One server's definition: of its headers only those stay that never hold a credential. `dropped` gets the places.
void scrub_server(sdk::json::object& server, const std::string& path, std::vector<std::string>& dropped);
/// Any JSON file of a plugin: the servers in it as servers, the rest by scrub().
void scrub_document(sdk::json::object& document, std::vector<std::string>& dropped);

bool is_path_character(char c);
/// Every `from` that is a whole path or the begin of one becomes `to`: "/home/me" in "/home/me/x", not in "/home/meg".
std::string with_path(std::string_view text, const std::string& from, const std::string& to);
std::string lower(std::string_view text);

}  // namespace bot_bottle::provider_config
