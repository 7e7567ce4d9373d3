#include "copy_config.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "plugins/provider-config/credentials.hpp"
#include "plugins/provider-config/servers.hpp"
#include "plugins/provider-config/text.hpp"

namespace bot_bottle::provider_claude {
namespace {

namespace json = sdk::json;
using provider_config::counted;
using provider_config::HostText;
using provider_config::HostTree;
using provider_config::is_path_character;
using provider_config::lower;
using provider_config::max_settings_bytes;

constexpr std::size_t max_state_bytes = std::size_t{32} << 20;  // ~/.claude.json keeps the history of every project

/// Programs that hand out credentials, and what only makes sense outside of a bottle.
constexpr std::array<std::string_view, 6> credential_helpers{
    "apiKeyHelper", "awsAuthRefresh", "awsCredentialExport", "gcpAuthRefresh", "otelHeadersHelper", "proxyAuthHelper"};
constexpr std::array<std::string_view, 5> not_for_a_bottle{"sandbox", "forceLoginMethod", "forceLoginOrgUUID",
                                                           "statusLine", "extraKnownMarketplaces"};
/// The bottle sets these itself; the host's would lead past its proxy, or nowhere.
constexpr std::array<std::string_view, 10> own_variables{
    "HTTP_PROXY",         "HTTPS_PROXY",         "ALL_PROXY",
    "NO_PROXY",           "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE",
    "ANTHROPIC_BASE_URL", "CLAUDE_CONFIG_DIR",   "NODE_TLS_REJECT_UNAUTHORIZED",
    "NODE_OPTIONS"};
class Copy : private provider_config::ConfigCopier {
 public:
  explicit Copy(const Places& places)
      : ConfigCopier(places, places.host_home + "/.claude", ".claude"), home_(places.host_home) {}

  CopiedConfig run() {
    if (!tree().is_there()) {
      warn("there is no " + directory() + " to copy");
      return {std::move(out), {}};
    }
    copy_settings();
    std::vector<std::string> parts;
    const auto part = [&parts](std::size_t number, const std::string& what) {
      if (number > 0) parts.push_back(counted(number, what));
    };
    if (!out.settings.empty()) parts.emplace_back("settings");
    if (copy_file("CLAUDE.md", guest("CLAUDE.md"))) parts.emplace_back("CLAUDE.md");
    part(copy_documents("agents"), "subagent");
    part(copy_units("skills"), "skill");
    part(copy_documents("commands"), "command");
    part(copy_documents("output-styles"), "output style");
    part(copy_plugins(), "plugin");
    copy_state();
    part(out.mcp_servers.size() + project_servers_.size(), "MCP server");
    return {finish(parts), std::move(project_servers_)};
  }

 private:
  /// The document, empty when there is none.
  json::object read_object(const HostTree& tree, const std::string& relative, std::size_t most,
                           const std::string& shown) {
    const HostText file = tree.read(relative, most);
    if (file.fault == HostText::Fault::absent) return {};
    if (file.fault != HostText::Fault::none) {
      warn(shown + " " + std::string(explain(file.fault)) + ": left out");
      return {};
    }
    boost::system::error_code fault;
    json::value value = json::parse(file.text, fault);
    const bool is_object = !fault && value.is_object();
    if (!is_object)
      throw sdk::Error(sdk::Status::invalid_argument,
                       shown + " is not a JSON object" + (fault ? ": " + fault.message() : std::string()),
                       "repair it, or start without it: agent_provider.config: fresh");
    return std::move(value.get_object());
  }

  void copy_settings() {
    const std::string shown = "~/.claude/settings.json";
    json::object settings = read_object(tree(), "settings.json", max_settings_bytes, shown);
    for (const std::string_view key : credential_helpers)
      if (settings.erase(key) > 0) warn(shown + ": " + std::string(key) + " hands out credentials and stays outside");
    for (const std::string_view key : not_for_a_bottle) settings.erase(key);
    if (json::object* permissions = settings.contains("permissions") ? settings["permissions"].if_object() : nullptr)
      if (permissions->erase("disableBypassPermissionsMode") > 0)
        warn(shown + ": permissions.disableBypassPermissionsMode is left out: the bottle is what holds the agent");
    if (json::object* env = settings.contains("env") ? settings["env"].if_object() : nullptr)
      for (const std::string_view name : own_variables)
        for (const std::string& spelling : {std::string(name), lower(name)})
          if (env->erase(spelling) > 0) warn(shown + ": env." + spelling + " is left out: the bottle sets its own");
    enabled_ = settings.contains("enabledPlugins") && settings["enabledPlugins"].is_object()
                   ? settings["enabledPlugins"].get_object()
                   : json::object{};
    settings.erase("enabledPlugins");
    std::vector<std::string> dropped;
    provider_config::scrub(settings, {}, dropped);
    report(shown, dropped);
    rewrite(settings);
    out.settings = std::move(settings);
  }

  /// Claude Code takes a plugin from its marketplace's directory and asks installed_plugins.json for the rest: so each
  /// marketplace is made anew in the guest, with the enabled plugins alone and without where it came from.
  std::size_t copy_plugins() {
    json::object record = read_object(tree(), "plugins/installed_plugins.json", max_settings_bytes,
                                      "~/.claude/plugins/installed_plugins.json");
    const json::object* installed = record.contains("plugins") ? record["plugins"].if_object() : nullptr;
    json::object listed;
    json::object enabled;
    std::map<std::string, json::array> markets;
    for (const auto& member : enabled_) {
      const std::string id(member.key());
      if (!member.value().is_bool() || !member.value().get_bool()) continue;
      const std::size_t at = id.find('@');
      const std::string name = id.substr(0, at);
      const std::string market = at == std::string::npos ? std::string() : id.substr(at + 1);
      const std::string source = installed == nullptr ? std::string() : install_path(*installed, id);
      if (!is_plain_name(name) || !is_plain_name(market) || source.empty()) {
        warn("the plugin " + id + " is not installed below ~/.claude/plugins: left out");
        continue;
      }
      const std::string path = "plugins/marketplaces/" + market + "/" + name;
      std::vector<sdk::GuestFile> files;
      gather(source, guest(path), files);
      if (!add_if_it_fits(std::move(files), "the plugin " + id)) continue;
      enabled[id] = true;
      listed[id] = json::array{json::object{{"scope", "user"}, {"installPath", guest(path)}, {"version", "copied"}}};
      markets[market].push_back(json::object{{"name", name}, {"source", "./" + name}});
    }
    if (enabled.empty()) return 0;
    json::object known;
    for (auto& [market, plugins] : markets) {
      const std::string directory = guest("plugins/marketplaces/" + market);
      known[market] = json::object{{"source", json::object{{"source", "directory"}, {"path", directory}}},
                                   {"installLocation", directory},
                                   {"lastUpdated", "2026-01-01T00:00:00.000Z"}};
      add_document(directory + "/.claude-plugin/marketplace.json",
                   {{"name", market}, {"owner", json::object{{"name", "copied by bot-bottle"}}}, {"plugins", plugins}});
    }
    add_document(guest("plugins/known_marketplaces.json"), known);
    add_document(guest("plugins/installed_plugins.json"), {{"version", 2}, {"plugins", listed}});
    const std::size_t count = enabled.size();
    out.settings["enabledPlugins"] = std::move(enabled);
    return count;
  }
  static bool is_plain_name(std::string_view name) {
    return !name.empty() && name.size() <= 100 && name.front() != '.' &&
           std::ranges::all_of(name, [](char c) { return is_path_character(c) && c != '/'; });
  }
  /// Below ~/.claude, as a relative path; empty for everywhere else.
  [[nodiscard]] std::string install_path(const json::object& installed, const std::string& id) const {
    const json::value* entries = installed.if_contains(id);
    const std::string root = places().host_home + "/.claude/";
    if (entries == nullptr || !entries->is_array()) return {};
    for (const json::value& entry : entries->get_array()) {
      const json::value* path = entry.is_object() ? entry.get_object().if_contains("installPath") : nullptr;
      if (path != nullptr && path->is_string() && std::string_view(path->get_string()).starts_with(root + "plugins/"))
        return std::string(path->get_string()).substr(root.size());
    }
    return {};
  }

  void copy_state() {
    const std::string shown = "~/.claude.json";
    json::object state = read_object(home_, ".claude.json", max_state_bytes, shown);
    if (json::value* servers = state.if_contains("mcpServers"))
      copy_servers(*servers, shown + ": mcpServers", out.mcp_servers);
    const json::value* projects = state.if_contains("projects");
    if (places().host_workspace.empty() || projects == nullptr || !projects->is_object()) return;
    if (const json::value* project = projects->get_object().if_contains(places().host_workspace);
        project != nullptr && project->is_object())
      if (const json::value* servers = project->get_object().if_contains("mcpServers"))
        copy_servers(*servers, shown + ": the project's mcpServers", project_servers_);
  }

  HostTree home_;
  json::object enabled_;
  json::object project_servers_;
};

}  // namespace

CopiedConfig copy_config(const Places& places) {
  return Copy(places).run();
}

}  // namespace bot_bottle::provider_claude
