// What the operator reads before the launch (spec 02 Preflight). Agent files of a repository reach this: text is
// escaped.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/base/clock.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/base/text_width.hpp"
#include "core/plan/canaries.hpp"
#include "core/plan/plan.hpp"
#include "core/policy/git_gate.hpp"

namespace bot_bottle::plan {
namespace {

constexpr std::size_t widest_value = 300;
std::string safe(std::string_view text) {
  return escape_untrusted(text, widest_value);
}

std::string_view scheme_name(const policy::Auth& auth) {
  switch (auth.scheme) {
    case policy::Auth::Scheme::bearer:
      return "Bearer";
    case policy::Auth::Scheme::token:
      return "token";
    case policy::Auth::Scheme::basic:
      return "Basic";
    case policy::Auth::Scheme::header:
      return "header";
  }
  return "header";
}

std::string auth_text(const policy::Auth& auth) {
  if (auth.scheme == policy::Auth::Scheme::header) return "header:" + auth.header;
  return std::string(scheme_name(auth));
}

/// Empty: everything is looked for.
std::string dlp_text(const policy::Route& route) {
  if (route.tls == policy::Tls::passthrough) return "none";
  std::vector<std::string> on;
  if (route.dlp.token_patterns) on.emplace_back("tokens");
  if (route.dlp.known_secrets) on.emplace_back("secrets");
  if (route.dlp.financial) on.emplace_back("financial");
  if (route.dlp.injection)
    on.emplace_back("inbound");
  else if (route.dlp.recognised_injection)
    on.emplace_back("inbound mcp");
  constexpr std::size_t all = 4;
  if (on.size() == all && route.dlp.injection) return {};
  return on.empty() ? "off" : join(on, "+");
}

std::string route_text(const policy::Route& route) {
  std::string text = safe(route.host);
  if (route.ports != std::vector<std::uint16_t>{443}) {
    std::vector<std::string> ports;
    for (const std::uint16_t port : route.ports) ports.push_back(std::to_string(port));
    text += ":" + join(ports, ",");
  }
  if (route.auth) text += " [auth:" + safe(auth_text(*route.auth)) + "]";
  if (route.tls == policy::Tls::passthrough) text += " [passthrough]";
  if (route.refuse_all)
    text += " [matches:none]";
  else if (!route.matches.empty())
    text += fmt::format(" [matches:{}]", route.matches.size());
  if (route.plain) text += " [plain http]";
  if (route.git_fetch) text += " [git fetch]";
  const std::string dlp = dlp_text(route);
  text += dlp.empty() ? " [dlp]" : " [dlp:" + dlp + "]";
  if (route.origin != "bottle" && !route.origin.empty()) text += " (" + safe(route.origin) + ")";
  return text;
}

/// `name → host:port [key kind]` (spec 02) from the raw block.
std::string repo_text(std::string_view name, const json::value& repo) {
  std::string text = safe(name);
  if (!repo.is_object()) return text;
  const std::string url = get_string(repo.as_object(), "url");
  if (const auto upstream = policy::parse_git_upstream(url)) {
    const int usual = upstream->transport == policy::GitUpstream::Transport::ssh ? 22 : 443;
    text += fmt::format(" → {}:{}", safe(upstream->host), upstream->port == 0 ? usual : upstream->port);
  } else {
    text += " → " + safe(url);
  }
  if (const json::object* key = find_object(repo.as_object(), "key"))
    text += " [" + safe(get_string(*key, "provider", "static")) + "]";
  return text;
}

std::vector<std::string> visible_env_names(const Plan& plan) {
  std::set<std::string> names;
  for (const auto& [name, entry] : plan.manifest.env) names.insert(name);
  for (const json::object* document : {&plan.description, &plan.provider_plan})
    if (const json::object* env = find_object(*document, "env"))
      for (const auto& member : *env) names.insert(std::string(member.key()));
  for (const std::string& hidden : get_strings(plan.provider_plan, "hidden_env")) names.erase(hidden);
  return {names.begin(), names.end()};
}

std::string place_text(const Plan& plan, const std::string& key) {
  const auto found = plan.manifest.provenance.find(key);
  if (found == plan.manifest.provenance.end()) return {};
  std::string text = found->second.file.filename().string();
  const std::string directory = found->second.file.parent_path().filename().string();
  if (!directory.empty()) text = directory + "/" + text;
  if (found->second.line > 0) text += ":" + std::to_string(found->second.line);
  return text;
}

std::string git_text(const Plan& plan) {
  const manifest::GitIdentity& user = plan.manifest.git_user;
  if (user.name.empty() && user.email.empty()) return {};
  std::string text = safe(user.name);
  if (!user.email.empty()) text += (text.empty() ? "<" : " <") + safe(user.email) + ">";
  const std::string name_place = place_text(plan, "git.user.name");
  const std::string email_place = place_text(plan, "git.user.email");
  if (!name_place.empty() && !email_place.empty() && name_place != email_place)
    text += " (name " + safe(name_place) + ", email " + safe(email_place) + ")";
  else if (const std::string& place = name_place.empty() ? email_place : name_place; !place.empty())
    text += " (" + safe(place) + ")";
  return text;
}

/// "~/…" below the operator's home.
std::string shown_path(const Plan& plan, const std::filesystem::path& path) {
  std::string text = path.string();
  const std::string home = plan.host.operator_home.string();
  if (home.size() > 1 && text.size() > home.size() && text.starts_with(home) && text[home.size()] == '/')
    return "~" + text.substr(home.size());
  return text;
}

std::string workspace_text(const Plan& plan) {
  const json::object* workspace = find_object(plan.backend_spec, "workspace");
  if (workspace == nullptr) return {};
  const std::string mode = get_string(*workspace, "mode");
  if (mode == "none") return "none";
  if (!plan.choices.worktree_branch.empty())
    return safe(shown_path(plan, plan.choices.cwd.string())) + ", branch " + safe(plan.choices.worktree_branch) +
           " → " + safe(get_string(*workspace, "path")) + " (worktree)";
  return safe(shown_path(plan, get_string(*workspace, "source"))) + " → " + safe(get_string(*workspace, "path")) +
         " (" + mode + ")";
}

std::string resources_text(const manifest::Resources& resources) {
  std::vector<std::string> parts;
  if (resources.cpus) parts.push_back(fmt::format("{:g} cpus", *resources.cpus));
  if (resources.memory_bytes) parts.push_back(format_bytes(*resources.memory_bytes) + " memory");
  if (resources.pids) parts.push_back(fmt::format("{} pids", *resources.pids));
  if (resources.disk_bytes) parts.push_back(format_bytes(*resources.disk_bytes) + " disk");
  if (resources.timeout_ms) parts.push_back(format_age(*resources.timeout_ms) + " at most");
  return join(parts, ", ");
}

/// Labelled lines; further values of a label stand below the first, and so does what does not fit.
class Sheet {
 public:
  enum class Tone : std::uint8_t { plain, warning };
  explicit Sheet(const PreflightLook& look) : look_(look) {}
  void add(std::string_view label, const std::vector<std::string>& values, Tone tone = Tone::plain) {
    bool first = true;
    for (const std::string& value : values) {
      if (value.empty()) continue;
      for (const std::string& line : wrapped(value)) {
        put(first ? label : "", line, tone);
        first = false;
      }
    }
  }
  void add(std::string_view label, const std::string& value, Tone tone = Tone::plain) {
    add(label, std::vector<std::string>{value}, tone);
  }
  std::string take() { return std::move(text_); }

 private:
  static constexpr std::size_t label_width = 11;
  static constexpr std::size_t hanging = 2;
  [[nodiscard]] std::vector<std::string> wrapped(const std::string& value) const {
    if (look_.width == 0) return {value};
    return wrap_to_width(value, look_.width > label_width ? look_.width - label_width : 1, hanging);
  }
  void put(std::string_view label, std::string_view line, Tone tone) {
    const std::string shown = fmt::format("{:<{}}", label, label_width);
    if (look_.color && tone == Tone::warning)
      text_ += fmt::format("\x1b[33m{}{}\x1b[0m\n", shown, line);
    else if (look_.color && !label.empty())
      text_ += fmt::format("\x1b[1m{}\x1b[0m{}\n", shown, line);
    else
      text_ += fmt::format("{}{}\n", shown, line);
  }

  const PreflightLook& look_;
  std::string text_;
};

std::string agent_text(const Plan& plan) {
  if (plan.manifest.agent.empty()) return "none: the bottle alone";
  std::string text = safe(plan.manifest.agent);
  if (plan.manifest.agent_origin == manifest::Origin::repository)
    text += " (from this repository: " + safe(shown_path(plan, plan.manifest.agent_file)) + ")";
  else
    text += " (" + safe(shown_path(plan, plan.manifest.agent_file)) + ")";
  return text;
}

std::vector<std::string> all_warnings(const Plan& plan) {
  std::vector<std::string> lines;
  for (const manifest::Fault& fault : plan.manifest.warnings) lines.push_back(manifest::to_text(fault));
  lines.insert(lines.end(), plan.warnings.begin(), plan.warnings.end());
  const std::vector<std::string> backend = get_strings(plan.backend_plan, "warnings");
  lines.insert(lines.end(), backend.begin(), backend.end());
  return lines;
}

}  // namespace

std::string preflight_text(const Plan& plan, const PreflightLook& look) {
  Sheet sheet(look);
  sheet.add("bottle id", safe(plan.slug));
  sheet.add("agent", agent_text(plan),
            plan.manifest.agent_origin == manifest::Origin::repository ? Sheet::Tone::warning : Sheet::Tone::plain);
  const std::string display = get_string(plan.description, "display_name", plan.provider);
  sheet.add("provider", display == plan.provider ? safe(display) : safe(display) + " (" + safe(plan.provider) + ")");
  for (const std::string& line : get_strings(plan.provider_plan, "summary")) sheet.add("", "  " + safe(line));
  sheet.add("backend", safe(plan.backend));
  for (const std::string& line : get_strings(plan.backend_plan, "summary"))
    if (!line.starts_with("workspace:")) sheet.add("", safe(line));  // it has a line of its own below
  std::vector<std::string> chain;
  for (const std::string& bottle : plan.manifest.bottle_chain) chain.push_back(safe(bottle));
  sheet.add("bottle", join(chain, " ← "));
  sheet.add("workspace", workspace_text(plan));
  sheet.add("resources", resources_text(plan.manifest.resources));
  std::vector<std::string> names;
  for (const std::string& name : visible_env_names(plan)) names.push_back(safe(name));
  sheet.add("env", join(names, ", "));
  std::vector<std::string> skills;
  for (const std::string& skill : plan.manifest.skills) skills.push_back(safe(skill));
  sheet.add("skills", join(skills, ", "));
  sheet.add("git", git_text(plan));
  std::vector<std::string> repos;
  for (const auto& member : plan.manifest.git_gate_repos) repos.push_back(repo_text(member.key(), member.value()));
  sheet.add("git-gate", repos);
  std::vector<std::string> routes;
  for (const policy::Route& route : plan.egress.routes) routes.push_back(route_text(route));
  if (routes.empty()) routes.emplace_back("nothing: no route is allowed");
  sheet.add("egress", routes);
  std::vector<std::string> pins;
  for (const auto& [host, pin] : plan.egress.hosts)
    pins.push_back(safe(host) + " = " + safe(pin.address) + (pin.port ? ":" + std::to_string(*pin.port) : ""));
  sheet.add("hosts", pins);
  std::string canaries = safe(join(canary_places(plan), ", "));
  if (!canaries.empty() && plan.egress.on_canary == policy::OnCanary::freeze) canaries += " (a sighting freezes)";
  sheet.add("canaries", canaries.empty() ? "off" : canaries);
  if (plan.egress.mcp_pin) sheet.add("mcp", "tools are pinned");
  std::vector<std::string> warnings;
  for (const std::string& warning : all_warnings(plan)) warnings.push_back(safe(warning));
  sheet.add("warning", warnings, Sheet::Tone::warning);
  return sheet.take();
}

json::object preflight_json(const Plan& plan) {
  json::array routes;
  for (const policy::Route& route : plan.egress.routes) {
    json::object line = policy::to_public_json(route);
    line["origin"] = route.origin;
    line["auth"] = route.auth ? json::value(auth_text(*route.auth)) : json::value(nullptr);
    routes.push_back(std::move(line));
  }
  json::array repos;
  for (const auto& member : plan.manifest.git_gate_repos)
    repos.push_back(json::string(repo_text(member.key(), member.value())));
  const json::object* workspace = find_object(plan.backend_spec, "workspace");
  const json::object* resources = find_object(plan.backend_spec, "resources");
  return {{"schema", "bot-bottle.preflight/1"},
          {"slug", plan.slug},
          {"agent", plan.manifest.agent},
          {"agent_file", plan.manifest.agent_file.string()},
          {"agent_origin", plan.manifest.agent_origin == manifest::Origin::repository ? "repository" : "home"},
          {"provider", plan.provider},
          {"backend", plan.backend},
          {"bottle_chain", to_array(plan.manifest.bottle_chain)},
          {"workspace", workspace == nullptr ? json::object{} : *workspace},
          {"worktree_branch", plan.choices.worktree_branch},
          {"resources", resources == nullptr ? json::object{} : *resources},
          {"env", to_array(visible_env_names(plan))},
          {"skills", to_array(plan.manifest.skills)},
          {"git_user",
           {{"name", plan.manifest.git_user.name},
            {"name_from", place_text(plan, "git.user.name")},
            {"email", plan.manifest.git_user.email},
            {"email_from", place_text(plan, "git.user.email")}}},
          {"git_gate", std::move(repos)},
          {"routes", std::move(routes)},
          {"secrets", to_array(plan.secret_names)},
          {"canaries", to_array(canary_places(plan))},
          {"on_canary", plan.egress.on_canary == policy::OnCanary::freeze ? "freeze" : "block"},
          {"provider_summary", to_array(get_strings(plan.provider_plan, "summary"))},
          {"summary", to_array(get_strings(plan.backend_plan, "summary"))},
          {"warnings", to_array(all_warnings(plan))}};
}

}  // namespace bot_bottle::plan
