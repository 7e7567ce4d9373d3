#include "copy_config.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <set>
#include <utility>

#include "credentials.hpp"
#include "host_tree.hpp"
#include "servers.hpp"

namespace bot_bottle::provider_claude {
namespace {

namespace json = sdk::json;

// A plan is a document of at most 4 MiB (plugin.h), and JSON may need six octets for one.
constexpr std::size_t max_file_bytes = std::size_t{256} << 10;
constexpr std::size_t max_total_bytes = std::size_t{1} << 20;
constexpr std::size_t max_files = 1000;
constexpr std::size_t max_settings_bytes = std::size_t{1} << 20;
constexpr std::size_t max_state_bytes = std::size_t{32} << 20;  // ~/.claude.json keeps the history of every project
constexpr std::size_t max_servers = 100;
constexpr std::size_t max_warnings = 60;
constexpr int deepest = 8;

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
std::string counted(std::size_t number, const std::string& what) {
  return std::to_string(number) + " " + what + (number == 1 ? "" : "s");
}

class Copy {
 public:
  explicit Copy(const Places& places)
      : places_(places), claude_(places.host_home + "/.claude"), home_(places.host_home) {}

  CopiedConfig run() {
    if (!claude_.is_there()) {
      warn("there is no " + places_.host_home + "/.claude to copy");
      return std::move(out_);
    }
    copy_settings();
    std::vector<std::string> parts;
    const auto part = [&parts](std::size_t number, const std::string& what) {
      if (number > 0) parts.push_back(counted(number, what));
    };
    if (!out_.settings.empty()) parts.emplace_back("settings");
    if (copy_file("CLAUDE.md", guest("CLAUDE.md"))) parts.emplace_back("CLAUDE.md");
    part(copy_documents("agents"), "subagent");
    part(copy_units("skills"), "skill");
    part(copy_documents("commands"), "command");
    part(copy_documents("output-styles"), "output style");
    part(copy_plugins(), "plugin");
    copy_servers();
    part(out_.mcp_servers.size() + out_.project_mcp_servers.size(), "MCP server");
    std::string line = "copied from ~/.claude:";
    for (const std::string& one : parts) line += (&one == parts.data() ? " " : ", ") + one;
    out_.summary.push_back(parts.empty() ? "nothing to copy in ~/.claude" : line);
    if (left_out_ > 0) out_.warnings.push_back("and " + std::to_string(left_out_) + " more that were left out");
    return std::move(out_);
  }

 private:
  [[nodiscard]] std::string guest(const std::string& relative) const {
    return places_.guest_home + "/.claude/" + relative;
  }
  void warn(std::string text) {
    if (out_.warnings.size() < max_warnings)
      out_.warnings.push_back(std::move(text));
    else
      ++left_out_;
  }
  void report(const std::string& where, const std::vector<std::string>& dropped) {
    for (const std::string& path : dropped) warn(where + ": " + path + " looks like a credential and stays outside");
  }

  [[nodiscard]] std::string rewritten(std::string_view text) const {
    std::string out(text);
    if (!places_.host_workspace.empty() && places_.host_workspace != places_.host_home)
      out = with_path(out, places_.host_workspace, places_.guest_workspace);
    return with_path(out, places_.host_home, places_.guest_home);
  }
  void rewrite(json::value& value) const {  // NOLINT(misc-no-recursion): the parser's depth is bounded
    if (json::string* text = value.if_string()) {
      *text = rewritten(*text);
    } else if (json::array* list = value.if_array()) {
      for (json::value& item : *list) rewrite(item);
    } else if (json::object* object = value.if_object()) {
      for (auto& member : *object) rewrite(member.value());
    }
  }

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
    json::object settings = read_object(claude_, "settings.json", max_settings_bytes, shown);
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
    scrub(settings, {}, dropped);
    report(shown, dropped);
    for (auto& member : settings) rewrite(member.value());
    out_.settings = std::move(settings);
  }

  /// The guest's text of a file; nothing, and a warning, when it stays outside.
  std::optional<sdk::GuestFile> take(const std::string& relative, std::string path) {
    const std::string shown = "~/.claude/" + relative;
    if (is_credential_file(relative.substr(relative.rfind('/') + 1))) {
      warn(shown + " is where credentials are kept: left out");
      return std::nullopt;
    }
    HostText file = claude_.read(relative, max_file_bytes);
    if (file.fault == HostText::Fault::absent) return std::nullopt;
    if (file.fault != HostText::Fault::none) {
      warn(shown + " " + std::string(explain(file.fault)) + ": left out");
      return std::nullopt;
    }
    if (relative.ends_with(".json")) {
      boost::system::error_code fault;
      json::value value = json::parse(file.text, fault);
      if (!fault && (value.is_object() || value.is_array())) {
        std::vector<std::string> dropped;
        if (value.is_object())
          scrub_document(value.get_object(), dropped);
        else
          scrub(value.get_array(), {}, dropped);
        report(shown, dropped);
        rewrite(value);
        file.text = json::serialize(value);
      }
    }
    if (holds_credential(file.text)) {
      warn(shown + " holds what looks like a credential: left out");
      return std::nullopt;
    }
    return sdk::GuestFile{
        .path = std::move(path), .mode = file.is_program ? 0700U : 0600U, .content = rewritten(file.text)};
  }

  bool fits(const std::vector<sdk::GuestFile>& files) const {
    std::size_t bytes = bytes_;
    for (const sdk::GuestFile& file : files) bytes += file.content.size();
    return bytes <= max_total_bytes && out_.files.size() + files.size() <= max_files;
  }
  void add(std::vector<sdk::GuestFile> files) {
    for (sdk::GuestFile& file : files) {
      bytes_ += file.content.size();
      paths_.insert(file.path);
      out_.files.push_back(std::move(file));
    }
  }
  bool add_if_it_fits(std::vector<sdk::GuestFile> files, const std::string& shown) {
    if (files.empty()) return false;
    if (!fits(files)) {
      warn(shown + " is left out: more than 1 MiB or 1,000 files would be copied");
      return false;
    }
    add(std::move(files));
    return true;
  }

  bool copy_file(const std::string& relative, std::string path) {
    std::vector<sdk::GuestFile> files;
    if (auto file = take(relative, std::move(path))) files.push_back(std::move(*file));
    return add_if_it_fits(std::move(files), "~/.claude/" + relative);
  }

  /// Markdown files of a directory and those below it.
  std::size_t copy_documents(const std::string& relative, int depth = 0) {  // NOLINT(misc-no-recursion)
    std::size_t count = 0;
    if (depth > deepest) return count;
    for (const HostEntry& entry : claude_.list(relative)) {
      const std::string inner = relative + "/" + entry.name;
      if (entry.kind == HostEntry::Kind::directory)
        count += copy_documents(inner, depth + 1);
      else if (entry.kind == HostEntry::Kind::other)
        warn("~/.claude/" + inner + " is a link or no file: not followed");
      else if (entry.name.ends_with(".md") && copy_file(inner, guest(inner)))
        ++count;
    }
    return count;
  }

  void gather(const std::string& relative, const std::string& path, std::vector<sdk::GuestFile>& files,
              int depth) {  // NOLINT(misc-no-recursion)
    if (depth > deepest) return warn("~/.claude/" + relative + " is too deep: left out");
    for (const HostEntry& entry : claude_.list(relative)) {
      const std::string inner = relative + "/" + entry.name;
      if (entry.kind == HostEntry::Kind::other)
        warn("~/.claude/" + inner + " is a link or no file: not followed");
      else if (entry.kind == HostEntry::Kind::directory) {
        if (entry.name != ".git" && entry.name != "node_modules")
          gather(inner, path + "/" + entry.name, files, depth + 1);
      } else if (files.size() > max_files) {
        return;
      } else if (auto file = take(inner, path + "/" + entry.name)) {
        files.push_back(std::move(*file));
      }
    }
  }

  /// Each directory whole or, when it does not fit, not at all.
  std::size_t copy_units(const std::string& relative) {
    std::size_t count = 0;
    for (const HostEntry& entry : claude_.list(relative)) {
      const std::string inner = relative + "/" + entry.name;
      if (entry.kind == HostEntry::Kind::other)
        warn("~/.claude/" + inner + " is a link: not followed (name it under `skills` of the bottle)");
      if (entry.kind != HostEntry::Kind::directory) continue;
      std::vector<sdk::GuestFile> files;
      gather(inner, guest(inner), files, 0);
      if (add_if_it_fits(std::move(files), "~/.claude/" + inner)) ++count;
    }
    return count;
  }

  /// Claude Code takes a plugin from its marketplace's directory and asks installed_plugins.json for the rest: so each
  /// marketplace is made anew in the guest, with the enabled plugins alone and without where it came from.
  std::size_t copy_plugins() {
    json::object record = read_object(claude_, "plugins/installed_plugins.json", max_settings_bytes,
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
      gather(source, guest(path), files, 0);
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
    out_.settings["enabledPlugins"] = std::move(enabled);
    return count;
  }
  void add_document(std::string path, const json::object& document) {
    add({sdk::GuestFile{.path = std::move(path), .mode = 0600, .content = json::serialize(document)}});
  }
  static bool is_plain_name(std::string_view name) {
    return !name.empty() && name.size() <= 100 && name.front() != '.' &&
           std::ranges::all_of(name, [](char c) { return is_path_character(c) && c != '/'; });
  }
  /// Below ~/.claude, as a relative path; empty for everywhere else.
  [[nodiscard]] std::string install_path(const json::object& installed, const std::string& id) const {
    const json::value* entries = installed.if_contains(id);
    const std::string root = places_.host_home + "/.claude/";
    if (entries == nullptr || !entries->is_array()) return {};
    for (const json::value& entry : entries->get_array()) {
      const json::value* path = entry.is_object() ? entry.get_object().if_contains("installPath") : nullptr;
      if (path != nullptr && path->is_string() && std::string_view(path->get_string()).starts_with(root + "plugins/"))
        return std::string(path->get_string()).substr(root.size());
    }
    return {};
  }

  void copy_servers() {
    const std::string shown = "~/.claude.json";
    json::object state = read_object(home_, ".claude.json", max_state_bytes, shown);
    if (json::value* servers = state.if_contains("mcpServers"))
      copy_server_map(*servers, shown + ": mcpServers", out_.mcp_servers);
    const json::value* projects = state.if_contains("projects");
    if (places_.host_workspace.empty() || projects == nullptr || !projects->is_object()) return;
    if (const json::value* project = projects->get_object().if_contains(places_.host_workspace);
        project != nullptr && project->is_object())
      if (const json::value* servers = project->get_object().if_contains("mcpServers"))
        copy_server_map(*servers, shown + ": the project's mcpServers", out_.project_mcp_servers);
  }

  void copy_server_map(const json::value& servers, const std::string& shown, json::object& into) {
    if (!servers.is_object()) return warn(shown + " is no object: left out");
    for (const auto& member : servers.get_object()) {
      const std::string name(member.key());
      const std::string here = shown + "." + name;
      if (!member.value().is_object() || name.size() > 100 || is_credential_value(name) || into.size() >= max_servers) {
        warn(shown + " has an entry that is no server, or too many: left out");
        continue;
      }
      if (name == "supervise") {  // the bottle's own
        warn(here + " is left out: the bottle has a server of that name");
        continue;
      }
      json::object server = member.value().get_object();
      std::vector<std::string> dropped;
      scrub_server(server, {}, dropped);
      report(here, dropped);
      if (!is_whole(server)) {
        warn(here + " is left out: without that it is no server");
        continue;
      }
      tell_what_is_missing(server, here);
      json::value value = std::move(server);
      rewrite(value);
      into[name] = std::move(value);
    }
  }

  /// A command or an argument that is a path of the host which the bottle does not have.
  void tell_what_is_missing(const json::object& server, const std::string& here) {
    const auto missing = [this](std::string_view text, bool is_command) {
      if (!text.starts_with('/') || (!is_command && !text.starts_with(places_.host_home + "/"))) return false;
      if (!places_.host_workspace.empty() && text.starts_with(places_.host_workspace + "/")) return false;
      const std::string path(text);
      for (const std::string_view root : {"/usr/", "/bin/", "/sbin/", "/lib/"})
        if (text.starts_with(root)) return ::access(path.c_str(), F_OK) != 0;
      return !paths_.contains(rewritten(text));
    };
    if (const json::value* command = server.if_contains("command"); command != nullptr && command->is_string())
      if (missing(command->get_string(), true))
        warn(here + " runs " + std::string(command->get_string()) + ", which is not in the bottle");
    const json::value* args = server.if_contains("args");
    if (args == nullptr || !args->is_array()) return;
    for (const json::value& arg : args->get_array())
      if (arg.is_string() && missing(arg.get_string(), false))
        warn(here + " names " + std::string(arg.get_string()) + ", which is not in the bottle");
  }

  const Places& places_;
  HostTree claude_;
  HostTree home_;
  CopiedConfig out_;
  json::object enabled_;
  std::set<std::string> paths_;
  std::size_t bytes_ = 0;
  std::size_t left_out_ = 0;
};

}  // namespace

CopiedConfig copy_config(const Places& places) {
  return Copy(places).run();
}

}  // namespace bot_bottle::provider_claude
