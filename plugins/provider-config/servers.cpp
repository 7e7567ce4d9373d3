#include "servers.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "credentials.hpp"

namespace bot_bottle::provider_config {

namespace json = sdk::json;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

bool is_path_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-' || c == '/';
}

std::string with_path(std::string_view text, const std::string& from, const std::string& to) {
  if (from.size() < 2) return std::string(text);
  std::string out;
  while (true) {
    const std::size_t at = text.find(from);
    if (at == std::string_view::npos) return out + std::string(text);
    const bool begins = at == 0 ? out.empty() || !is_path_character(out.back()) : !is_path_character(text[at - 1]);
    const std::size_t end = at + from.size();
    const bool ends = end == text.size() || text[end] == '/' || !is_path_character(text[end]);
    out += text.substr(0, at);
    out += begins && ends ? to : from;
    text.remove_prefix(end);
  }
}

void scrub_server(json::object& server, const std::string& path, std::vector<std::string>& dropped) {
  const std::string prefix = path.empty() ? "" : path + ".";
  for (const std::string_view key : {"headersHelper", "oauth", "env_http_headers", "env_vars"})
    if (server.erase(key) > 0) dropped.push_back(prefix + std::string(key));
  scrub(server, path, dropped);
}

/// A plugin's .mcp.json names servers as ~/.claude.json does; a server may be called what it likes.
void scrub_document(json::object& document, std::vector<std::string>& dropped) {
  json::value servers;
  if (document.contains("mcpServers") && document["mcpServers"].is_object()) {
    servers = document["mcpServers"];
    document.erase("mcpServers");
  }
  scrub(document, {}, dropped);
  if (servers.is_null()) return;
  std::vector<std::string> useless;
  for (auto& member : servers.get_object()) {
    json::object* server = member.value().if_object();
    if (server != nullptr) scrub_server(*server, "mcpServers." + std::string(member.key()), dropped);
    if (server == nullptr || !is_whole(*server)) useless.emplace_back(member.key());
  }
  for (const std::string& name : useless) servers.get_object().erase(name);
  document["mcpServers"] = std::move(servers);
}

}  // namespace bot_bottle::provider_config
