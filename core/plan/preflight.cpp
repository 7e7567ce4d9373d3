// What the operator reads before the launch (spec 02 Preflight). Agent files of a repository reach this: text is
// escaped.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/base/clock.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/plan/plan.hpp"

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

std::string dlp_text(const policy::Route& route) {
  if (route.tls == policy::Tls::passthrough) return "none";
  std::vector<std::string> on;
  if (route.dlp.token_patterns) on.emplace_back("tokens");
  if (route.dlp.known_secrets) on.emplace_back("secrets");
  if (route.dlp.financial) on.emplace_back("financial");
  if (route.dlp.injection) on.emplace_back("inbound");
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
  text += " [dlp:" + dlp_text(route) + "]";
  if (route.origin != "bottle" && !route.origin.empty()) text += " (" + safe(route.origin) + ")";
  return text;
}

/// `name → host:port [key kind]` (spec 02) from the raw block.
std::string repo_text(std::string_view name, const json::value& repo) {
  std::string text = safe(name);
  if (!repo.is_object()) return text;
  std::string url = get_string(repo.as_object(), "url");
  if (const std::size_t scheme = url.find("://"); scheme != std::string::npos) url.erase(0, scheme + 3);
  if (const std::size_t user = url.find('@'); user != std::string::npos) url.erase(0, user + 1);
  url = url.substr(0, url.find('/'));
  text += " → " + safe(url);
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

std::string workspace_text(const Plan& plan) {
  const json::object* workspace = find_object(plan.backend_spec, "workspace");
  if (workspace == nullptr) return {};
  const std::string mode = get_string(*workspace, "mode");
  if (mode == "none") return "none";
  return safe(get_string(*workspace, "source")) + " → " + safe(get_string(*workspace, "path")) + " (" + mode + ")";
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

/// Labelled lines; further values of a label stand below the first.
class Sheet {
 public:
  void add(std::string_view label, const std::vector<std::string>& values) {
    bool first = true;
    for (const std::string& value : values) {
      if (value.empty()) continue;
      text_ += fmt::format("{:<11}{}\n", first ? label : "", value);
      first = false;
    }
  }
  void add(std::string_view label, const std::string& value) { add(label, std::vector<std::string>{value}); }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

std::string agent_text(const Plan& plan) {
  if (plan.manifest.agent.empty()) return "none: the bottle alone";
  std::string text = safe(plan.manifest.agent);
  if (plan.manifest.agent_origin == manifest::Origin::repository)
    text += " (from this repository: " + safe(plan.manifest.agent_file.string()) + ")";
  else
    text += " (" + safe(plan.manifest.agent_file.string()) + ")";
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

std::string preflight_text(const Plan& plan) {
  Sheet sheet;
  sheet.add("bottle id", safe(plan.slug));
  sheet.add("agent", agent_text(plan));
  const std::string display = get_string(plan.description, "display_name", plan.provider);
  sheet.add("provider", display == plan.provider ? safe(display) : safe(display) + " (" + safe(plan.provider) + ")");
  sheet.add("backend", safe(plan.backend));
  for (const std::string& line : get_strings(plan.backend_plan, "summary")) sheet.add("", "  " + safe(line));
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
  std::vector<std::string> warnings;
  for (const std::string& warning : all_warnings(plan)) warnings.push_back(safe(warning));
  sheet.add("warning", warnings);
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
          {"summary", to_array(get_strings(plan.backend_plan, "summary"))},
          {"warnings", to_array(all_warnings(plan))}};
}

}  // namespace bot_bottle::plan
