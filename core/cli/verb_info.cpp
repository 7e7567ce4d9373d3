// `info AGENT`: the manifest as launch would use it, each value with the file and line that states it.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "core/base/clock.hpp"
#include "core/base/error.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/cli/effective_egress.hpp"
#include "core/cli/settings.hpp"
#include "core/cli/show.hpp"
#include "core/cli/verbs.hpp"
#include "core/manifest/manifest.hpp"
#include "core/state/frozen.hpp"
#include "core/state/slug.hpp"

namespace bot_bottle::cli {
namespace {

/// Where `key` stands, or the nearest block around it.
std::string place_of(const manifest::Manifest& manifest, std::string key) {
  while (true) {
    if (const auto found = manifest.provenance.find(key); found != manifest.provenance.end())
      return short_place(found->second);
    const std::size_t end = key.find_last_of(".[");
    if (end == std::string::npos) return {};
    key.resize(end);
  }
}

/// Literals of names that look like credentials stay hidden: a screen is shared more easily than a file.
std::string describe_env(const std::string& name, const manifest::EnvEntry& entry) {
  if (entry.kind == manifest::EnvEntry::Kind::prompt) return "asked at start: " + entry.text;
  if (entry.kind == manifest::EnvEntry::Kind::interpolated) return entry.text;
  for (const std::string_view part : {"KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL"})
    if (to_upper(name).find(part) != std::string::npos) return "********";
  return entry.text;
}

class Sheet {
 public:
  explicit Sheet(const manifest::Manifest& manifest) : manifest_(manifest) {}

  /// Nothing stated: shown with its default.
  void add(const std::string& name, const std::string& value, const std::string& key,
           const std::string& fallback = {}) {
    if (value.empty() && fallback.empty()) return;
    std::string place = place_of(manifest_, key);
    if (place.empty() && !key.empty()) place = "built-in";
    add_row(name, value.empty() ? Cell(fallback, Tone::dim) : Cell(value), place);
  }
  void add_row(const std::string& name, Cell value, const std::string& place) {
    table_.rows.push_back({Cell(name, Tone::strong), std::move(value), Cell(place, Tone::dim)});
  }
  [[nodiscard]] const Table& table() const { return table_; }

 private:
  const manifest::Manifest& manifest_;
  Table table_{.headers = {"", "", ""}, .rows = {}};
};

std::string first_line(std::string_view text) {
  text = trim(text);
  text = text.substr(0, text.find('\n'));
  constexpr std::size_t most = 60;
  return escape_untrusted(text, most);
}

void add_resources(Sheet& sheet, const manifest::Resources& resources) {
  if (resources.cpus) sheet.add("cpus", fmt::format("{}", *resources.cpus), "resources.cpus");
  if (resources.memory_bytes) sheet.add("memory", format_bytes(*resources.memory_bytes), "resources.memory");
  if (resources.pids) sheet.add("pids", std::to_string(*resources.pids), "resources.pids");
  if (resources.disk_bytes) sheet.add("disk", format_bytes(*resources.disk_bytes), "resources.disk");
  if (resources.timeout_ms) sheet.add("timeout", format_age(*resources.timeout_ms), "resources.timeout");
}

/// Who states the route: the bottle's file and line, or the provider (which wins on its own hosts, spec 04).
std::string route_place(const manifest::Manifest& manifest, const policy::Route& route) {
  if (!route.origin.empty() && route.origin != "bottle") return route.origin;
  for (std::size_t i = 0; i < manifest.egress.routes.size(); ++i)
    if (manifest.egress.routes[i].host == route.host) return place_of(manifest, fmt::format("egress.routes[{}]", i));
  return {};
}

void show_routes(Context& context, const manifest::Manifest& manifest, const policy::Egress& egress) {
  if (egress.routes.empty()) {
    context.out("routes: none; every request is refused");
    return;
  }
  Table table{.headers = {"#", "ROUTE", "AUTH", "MATCHES", "DLP", "FROM"}, .rows = {}};
  std::size_t number = 0;
  for (const policy::Route& route : egress.routes) {
    ++number;
    auto matches = describe_matches(route);
    if (matches.empty()) matches.emplace_back("all");
    std::string host = route.host;
    for (const std::uint16_t port : route.ports)
      if (port != 443) host += fmt::format(" :{}", port);
    std::string auth = describe_auth(route);
    if (route.auth) auth += " " + route.auth->token_ref;
    const std::string place = route_place(manifest, route);
    for (std::size_t i = 0; i < matches.size(); ++i) {
      if (i == 0)
        table.rows.push_back({std::to_string(number), host, auth.empty() ? "-" : auth, matches[i], describe_dlp(route),
                              Cell(place, Tone::dim)});
      else
        table.rows.push_back({"", "", "", matches[i], "", ""});
    }
  }
  context.print_table(table);
}

/// A bottle of that name, where no agent has it: what it was started with, and its snapshot.
int show_bottle(Context& context, const state::Directory& directory) {
  const state::Metadata metadata = directory.metadata();
  const auto frozen = state::find_frozen(directory);
  if (context.output.json) {
    json::object document = state::to_json(metadata);
    document["schema"] = "bot-bottle.bottle-info/1";
    document["preserved"] = directory.is_preserved();
    if (frozen && frozen->has_snapshot())
      document["frozen"] = {{"snapshot", frozen->snapshot},
                            {"frozen_at", format_time(frozen->frozen_at_ms)},
                            {"next_resume", frozen->next_resume}};
    context.print_json(document);
    return 0;
  }
  Table table{.headers = {"", ""}, .rows = {}};
  const auto add = [&table](const char* name, const std::string& value) {
    if (!value.empty()) table.rows.push_back({Cell(name, Tone::strong), value});
  };
  add("bottle", directory.slug());
  add("agent", state::display_name(metadata));
  add("backend", metadata.backend);
  add("status", std::string(state::name_of(metadata.status)));
  add("started", format_time(metadata.started_at_ms));
  add("directory", metadata.cwd);
  if (metadata.worktree)
    add("branch", "agent/" + directory.slug() + " (bot-bottle worktree show " + directory.slug() + ")");
  if (frozen && frozen->has_snapshot()) {
    add("frozen", format_time(frozen->frozen_at_ms));
    add("snapshot",
        fmt::format("{} ({}, {})", frozen->ref(), get_string(frozen->snapshot, "kind"), format_bytes(frozen->size())));
    add("next resume", frozen->next_resume ? "from the snapshot" : "from where it ended");
  }
  context.print_table(table);
  return 0;
}

bool names_an_agent(const manifest::Sources& sources, const std::string& name) {
  const auto files = manifest::list_agents(sources).files;
  return std::ranges::any_of(files, [&](const manifest::NamedFile& file) { return file.name == name; });
}

/// Settings that are no part of a manifest.
void add_settings(Sheet& sheet, const manifest::SettingLayers& layers) {
  for (const manifest::SettingKey& key : manifest::setting_keys()) {
    if (key.key != "tint" && key.key != "workspace.worktree") continue;
    const manifest::ShownSetting shown = manifest::show_setting(layers, key);
    sheet.add_row(key.key == "tint" ? "tint" : "worktree", Cell(shown.value), short_place(shown.place));
  }
}

int show_info(Context& context, const LaunchOptions& options) {
  const std::string& agent = options.agent;
  const auto bottle = options.bottle.empty() ? std::nullopt : std::optional(options.bottle);
  const manifest::Sources sources = context.sources();
  if (state::is_slug(agent) && !names_an_agent(sources, agent)) {
    const std::vector<std::string> slugs = state::list_slugs(context.home());
    if (std::ranges::find(slugs, agent) != slugs.end())
      return show_bottle(context, state::Directory::open(context.home(), agent));
  }
  manifest::Manifest manifest = manifest::load(sources, agent, bottle);
  const manifest::SettingLayers settings = load_settings(context, options);
  manifest::apply_settings(settings, manifest);
  const policy::Egress egress = effective_egress(context, manifest);
  const auto host_faults = manifest::check_host(manifest, sources);
  show_faults(context, manifest.warnings);
  if (context.output.json) {
    json::object document = manifest::to_json(manifest);
    document["schema"] = "bot-bottle.info/1";
    document["effective_egress"] = policy::to_json(egress);
    json::object places;
    for (const auto& [key, place] : manifest.provenance)
      places[key] = {{"file", place.file.string()}, {"line", place.line}, {"column", place.column}};
    document["provenance"] = std::move(places);
    document["settings"] = settings_json(settings);
    json::array faults;
    for (const manifest::Fault& fault : host_faults) faults.push_back(manifest::to_json(fault));
    document["host_faults"] = std::move(faults);
    context.print_json(document);
    return 0;
  }
  Sheet sheet(manifest);
  sheet.add("agent",
            manifest.agent + (manifest.agent_origin == manifest::Origin::repository ? " (from the repository)" : ""),
            "");
  sheet.add("file", short_path(manifest.agent_file), "");
  sheet.add("bottle", join(manifest.bottle_chain, " → "), "bottle");
  sheet.add("backend", manifest.backend, "backend", "automatic");
  sheet.add("provider", manifest.provider.plugin, "agent_provider.template");
  sheet.add("command", join(manifest.provider.command, " "), "agent_provider.command");
  sheet.add("dockerfile", manifest.provider.dockerfile.empty() ? "" : short_path(manifest.provider.dockerfile),
            "agent_provider.dockerfile");
  sheet.add("auth token", manifest.provider.auth_token.empty() ? "" : "$" + manifest.provider.auth_token,
            "agent_provider.auth_token");
  if (manifest.provider.forward_host_credentials)
    sheet.add("host login", "forwarded through egress", "agent_provider.forward_host_credentials");
  sheet.add("model", manifest.model, "model");
  sheet.add("skills", join(manifest.skills, ", "), "skills");
  sheet.add("git name", manifest.git_user.name, "git.user.name");
  sheet.add("git email", manifest.git_user.email, "git.user.email");
  for (const auto& [name, repo] : manifest.git_gate_repos) {
    const json::object* fields = repo.if_object();
    sheet.add("git repo", std::string(name) + (fields == nullptr ? "" : " → " + get_string(*fields, "url")),
              "git-gate.repos." + std::string(name));
  }
  const char* mode = manifest.workspace.mode == manifest::Workspace::Mode::copy ? "copy"
                     : manifest.workspace.mode == manifest::Workspace::Mode::mount
                         ? "mount (changes reach your files at once)"
                         : "none";
  sheet.add("workspace", fmt::format("{} at {}", mode, manifest.workspace.path), "workspace.mode");
  add_settings(sheet, settings);
  add_resources(sheet, manifest.resources);
  sheet.add("bind_ro", join(manifest.local.bind_ro, ", "), "local.bind_ro");
  sheet.add("rootfs", manifest.local.rootfs, "local.rootfs");
  sheet.add("wire", manifest.docker.wire, "docker.wire");
  sheet.add("runtime", manifest.docker.runtime, "docker.runtime");
  sheet.add("env file", manifest.env_file.empty() ? "" : short_path(manifest.env_file), "env_file");
  for (const auto& [name, entry] : manifest.env) sheet.add("env " + name, describe_env(name, entry), "env." + name);
  for (const auto& [name, pin] : manifest.egress.hosts)
    sheet.add("pin " + name, pin.address + (pin.port ? fmt::format(":{}", *pin.port) : ""), "egress.hosts." + name);
  sheet.add("upstream CA", manifest.egress.upstream_ca.empty() ? "" : short_path(manifest.egress.upstream_ca),
            "egress.upstream_ca");
  sheet.add("DLP rules", manifest.egress.dlp_rules.empty() ? "" : short_path(manifest.egress.dlp_rules),
            "egress.dlp.rules");
  sheet.add("canaries",
            !egress.canaries                               ? "off"
            : egress.on_canary == policy::OnCanary::freeze ? "on; a sighting freezes the bottle's network"
                                                           : "",
            egress.canaries ? "egress.on_canary" : "egress.canaries", "on; a sighting blocks and raises an alarm");
  if (egress.mcp_pin) sheet.add("MCP tools", "pinned: a changed description is blocked", "egress.mcp.pin");
  if (manifest.egress.upstream_proxy)
    sheet.add("upstream proxy",
              fmt::format("{}:{}", manifest.egress.upstream_proxy->host, manifest.egress.upstream_proxy->port),
              "egress.upstream_proxy");
  for (const auto& command : manifest.post_init) sheet.add("post_init", join(command, " "), "post_init");
  sheet.add("prompt", first_line(manifest.prompt), "", "none");
  context.print_table(sheet.table());
  context.out("");
  show_routes(context, manifest, egress);
  show_faults(context, host_faults);
  return 0;
}

}  // namespace

void add_info(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "info", "An agent as it would run, with where each value comes from; or a bottle",
                            "Look", "bot-bottle info fixer\nbot-bottle info fixer --bottle strict --json");
  auto options = std::make_shared<LaunchOptions>();
  verb->add_option("AGENT", options->agent, "The agent's name; a bottle's where no agent has it")->required();
  verb->add_option("--bottle", options->bottle, "Instead of the bottle that the agent names")->type_name("NAME");
  verb->add_option("--backend", options->backend, "As start would take it")->type_name("NAME");
  add_setting_options(*verb, options->settings);
  add_json_option(*verb, context);
  verb->callback(
      [&context, options] { context.action = [&context, options] { return show_info(context, *options); }; });
}

}  // namespace bot_bottle::cli
