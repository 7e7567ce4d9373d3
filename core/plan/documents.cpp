// The documents for provider and backend, and the merged egress policy.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/plan/plan.hpp"

namespace bot_bottle::plan {
namespace {

std::string_view name_of(manifest::Workspace::Mode mode) {
  switch (mode) {
    case manifest::Workspace::Mode::copy:
      return "copy";
    case manifest::Workspace::Mode::mount:
      return "mount";
    case manifest::Workspace::Mode::none:
      return "none";
  }
  return "none";
}

manifest::Workspace::Mode workspace_mode(const Plan& plan) {
  return plan.choices.workspace == WorkspaceChoice::none ? manifest::Workspace::Mode::none
                                                         : plan.manifest.workspace.mode;
}

/// True when `inner` is `outer` or lies below it; both are normal and absolute.
bool is_within(const std::filesystem::path& inner, const std::filesystem::path& outer) {
  const auto [end, ignored] = std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  return end == outer.end() || (end != outer.end() && end->empty());
}

/// The agent gets all of the workspace: what holds the operator's keys or this product's state is none (DESIGN 2).
void check_workspace(const Plan& plan) {
  if (workspace_mode(plan) == manifest::Workspace::Mode::none) return;
  const std::filesystem::path& cwd = plan.choices.cwd;
  const char* hint = "use --cwd DIR with one project, or --no-workspace";
  if (is_within(plan.host.operator_home, cwd))
    throw Failure(
        make_error(ErrorKind::refused, "the workspace " + cwd.string() + " holds your whole home directory", hint));
  if (is_within(plan.host.product_home, cwd))
    throw Failure(make_error(
        ErrorKind::refused,
        "the workspace " + cwd.string() + " holds bot-bottle's own files in " + plan.host.product_home.string(), hint));
  if (is_within(cwd, plan.host.product_home))
    throw Failure(
        make_error(ErrorKind::refused, "the workspace " + cwd.string() + " lies in bot-bottle's own files", hint));
}

std::string problems_text(const policy::Problems& problems) {
  std::vector<std::string> lines;
  for (const policy::Problem& problem : problems)
    lines.push_back(problem.path + ": " + problem.message + (problem.hint.empty() ? "" : " (" + problem.hint + ")"));
  return join(lines, "\n");
}

/// Environment variable names (POSIX XBD 8.1).
bool is_variable_name(std::string_view name) {
  return !name.empty() && !(name.front() >= '0' && name.front() <= '9') && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

}  // namespace

std::vector<std::string> endpoints_of(const manifest::Manifest& manifest) {
  std::vector<std::string> endpoints{"egress"};
  if (!manifest.git_gate_repos.empty()) endpoints.emplace_back("git-gate");
  if (manifest.supervise.enabled) endpoints.emplace_back("supervise");
  return endpoints;
}

void plan_guest(Plan& plan) {
  check_workspace(plan);
  plan.guest.home = get_string(plan.description, "guest_home", plan.guest.home);
  plan.guest.user = get_string(plan.description, "user", plan.guest.user);
  if (!plan.guest.home.starts_with('/') || plan.guest.home.size() < 2)
    throw Failure(make_error(ErrorKind::internal, "provider " + plan.provider + ": guest_home '" + plan.guest.home +
                                                      "' is not an absolute path"));
  plan.guest.workspace =
      workspace_mode(plan) == manifest::Workspace::Mode::none ? plan.guest.home : plan.manifest.workspace.path;
}

json::object make_provider_spec(const Plan& plan) {
  const std::vector<std::string> endpoints = endpoints_of(plan.manifest);
  json::object spec{
      {"schema", "bot-bottle.provider-spec/1"},
      {"agent", plan.name()},
      {"slug", plan.slug},
      {"label", plan.choices.label},
      {"color", plan.choices.color},
      {"prompt", plan.manifest.prompt},
      {"args", to_array(plan.choices.arguments)},
      {"headless", plan.choices.session == Session::headless},
      {"headless_prompt", plan.choices.headless_prompt},
      {"auth_token_ref", plan.manifest.provider.auth_token},
      {"forward_host_credentials", plan.manifest.provider.forward_host_credentials},
      {"command", to_array(plan.manifest.provider.command)},
      {"resume", plan.choices.has_history()},
      {"guest", {{"home", plan.guest.home}, {"user", plan.guest.user}, {"workspace", plan.guest.workspace}}},
      {"supervise", plan.manifest.supervise.enabled && std::ranges::find(endpoints, "supervise") != endpoints.end()},
  };
  if (!plan.manifest.model.empty()) spec["model"] = plan.manifest.model;
  if (plan.manifest.provider.config == manifest::AgentProvider::Config::copy ||
      plan.manifest.provider.forward_host_credentials) {
    spec["host_home"] = plan.host.operator_home.string();
    if (workspace_mode(plan) != manifest::Workspace::Mode::none) spec["host_workspace"] = plan.choices.cwd.string();
  }
  if (plan.manifest.provider.config == manifest::AgentProvider::Config::copy) {
    const std::vector<std::string> known = get_strings(plan.description, "config_strategies");
    // One that does not know the word would start fresh and say nothing.
    if (std::ranges::find(known, "copy") == known.end())
      throw Failure(make_error(ErrorKind::unsupported,
                               "the provider " + plan.provider + " cannot copy your configuration into the bottle",
                               "take agent_provider.config out of the bottle"));
    spec["config"] = "copy";
  }
  return spec;
}

namespace {

/// Whatever else of the bottle sends a secret somewhere: (what it is, the name of its secret).
std::vector<std::pair<std::string, std::string>> own_references(const Plan& plan) {
  std::vector<std::pair<std::string, std::string>> found;
  for (const policy::Route& route : plan.manifest.egress.routes)
    if (route.auth)
      for (const std::string& name : {route.auth->token_ref, route.auth->account_ref})
        found.emplace_back("the route for " + route.host, name);
  if (plan.manifest.egress.upstream_proxy)
    found.emplace_back("egress.upstream_proxy", plan.manifest.egress.upstream_proxy->token_ref);
  for (const auto& repo : plan.manifest.git_gate_repos)
    if (const json::object* auth = repo.value().is_object() ? find_object(repo.value().as_object(), "auth") : nullptr)
      found.emplace_back("git-gate.repos." + std::string(repo.key()), get_string(*auth, "token_ref"));
  found.emplace_back("agent_provider.auth_token", plan.manifest.provider.auth_token);
  return found;
}

/// What the provider will read out of the host's login. Nothing of the bottle's own may carry that elsewhere.
/// Guarded by plan_test: a_forwarded_login_is_no_variable_and_goes_to_the_providers_hosts_alone.
std::vector<std::string> host_secrets_of(const Plan& plan) {
  std::vector<std::string> names = get_strings(plan.provider_plan, "host_secrets");
  const bool asked = plan.manifest.provider.forward_host_credentials;
  if (asked && names.empty())
    throw Failure(make_error(ErrorKind::unsupported,
                             "the provider " + plan.provider + " cannot forward a login of this host",
                             "take agent_provider.forward_host_credentials out of the bottle; auth_token names a "
                             "variable with a token"));
  if (!asked && !names.empty())
    throw Failure(make_error(ErrorKind::internal, "provider " + plan.provider +
                                                      " wants a login of this host, which the bottle does not grant"));
  for (const auto& [what, name] : own_references(plan))
    if (std::ranges::find(names, name) != names.end())
      throw Failure(
          make_error(ErrorKind::invalid_argument,
                     what + " names " + name + ", which is the host's login: it goes to the provider's own hosts alone",
                     "give it a variable of its own"));
  std::ranges::sort(names);
  return names;
}

}  // namespace

void plan_egress(Plan& plan) {
  plan.host_secret_names = host_secrets_of(plan);
  plan.egress = plan.manifest.egress;
  std::vector<policy::Route>& routes = plan.egress.routes;
  for (policy::Route& route : routes)
    if (route.origin.empty()) route.origin = "bottle";

  if (const json::array* given = find_array(plan.provider_plan, "egress_routes"); given != nullptr) {
    std::size_t index = 0;
    for (const json::value& document : *given) {
      policy::ParsedEgress parsed = policy::parse_route(document, fmt::format("egress_routes[{}]", index++));
      if (!parsed.problems.empty() || parsed.egress.routes.size() != 1) {
        Error error =
            make_error(ErrorKind::internal, "provider " + plan.provider + " planned a route that is not valid");
        error.details = problems_text(parsed.problems);
        throw Failure(std::move(error));
      }
      policy::Route route = std::move(parsed.egress.routes.front());
      route.origin = "provider:" + plan.provider;
      // Spec 04: conversations speak of card numbers and of instructions. What the provider itself says stands.
      const json::object* dlp = find_object(document.as_object(), "dlp");
      if (dlp == nullptr || !dlp->contains("outbound_detectors")) route.dlp.financial = false;
      if (dlp == nullptr || !dlp->contains("inbound_detectors")) route.dlp.injection = false;
      const auto same_host = [&route](const policy::Route& other) { return other.host == route.host; };
      if (std::erase_if(routes, same_host) > 0)
        plan.warnings.push_back("the route of the bottle for " + route.host + " gives way to the one of the provider " +
                                plan.provider);
      routes.push_back(std::move(route));
    }
  }

  std::set<std::string> names;
  for (const policy::Route& route : routes)
    if (route.auth) {
      names.insert(route.auth->token_ref);
      if (!route.auth->account_ref.empty()) names.insert(route.auth->account_ref);
    }
  if (plan.egress.upstream_proxy && !plan.egress.upstream_proxy->token_ref.empty())
    names.insert(plan.egress.upstream_proxy->token_ref);
  if (!plan.manifest.provider.auth_token.empty()) names.insert(plan.manifest.provider.auth_token);
  if (const json::array* placeholders = find_array(plan.provider_plan, "placeholders"); placeholders != nullptr)
    for (const json::value& placeholder : *placeholders)
      if (placeholder.is_object())
        if (const std::string name = get_string(placeholder.as_object(), "token_ref"); !name.empty())
          names.insert(name);
  for (const auto& repo : plan.manifest.git_gate_repos)
    if (const json::object* auth = repo.value().is_object() ? find_object(repo.value().as_object(), "auth") : nullptr)
      names.insert(get_string(*auth, "token_ref"));
  for (const std::string& name : names)
    if (!is_variable_name(name))
      throw Failure(make_error(ErrorKind::invalid_argument,
                               "'" + name + "' cannot be the name of an environment variable",
                               "a token_ref names a variable of the host"));
  for (const std::string& name : plan.host_secret_names)
    if (!is_variable_name(name))
      throw Failure(make_error(ErrorKind::internal, "provider " + plan.provider + ": '" + name + "' names no secret"));
  for (const std::string& name : plan.host_secret_names) names.erase(name);
  plan.secret_names.assign(names.begin(), names.end());

  for (const policy::Route& route : routes)
    if (route.tls == policy::Tls::passthrough)
      plan.warnings.push_back(route.host + " is passed through: what the agent sends there is not inspected");
}

json::object make_backend_spec(const Plan& plan) {
  const manifest::Manifest& manifest = plan.manifest;
  const manifest::Workspace::Mode mode = workspace_mode(plan);
  std::vector<std::string> bind_ro = get_strings(plan.description, "bind_ro");
  bind_ro.insert(bind_ro.end(), manifest.local.bind_ro.begin(), manifest.local.bind_ro.end());
  json::object resources;
  if (manifest.resources.cpus) resources["cpus"] = *manifest.resources.cpus;
  if (manifest.resources.memory_bytes) resources["memory"] = *manifest.resources.memory_bytes;
  if (manifest.resources.pids) resources["pids"] = *manifest.resources.pids;
  if (manifest.resources.disk_bytes) resources["disk"] = *manifest.resources.disk_bytes;
  const std::string dockerfile =
      manifest.provider.dockerfile.empty() ? get_string(plan.description, "dockerfile") : manifest.provider.dockerfile;
  // The plan may name the file itself (the command provider runs what the bottle says).
  const std::string program = get_string(plan.provider_plan, "program", get_string(plan.description, "program"));
  json::object spec{
      {"schema", "bot-bottle.spec/1"},
      {"slug", plan.slug},
      {"agent", plan.name()},
      {"label", plan.choices.label},
      {"version", BB_VERSION},
      {"state_dir", plan.state_dir.string()},
      {"detached", plan.choices.session == Session::detached},
      {"program", program},
      {"search_path", plan.host.search_path},
      {"bind_ro", to_array(bind_ro)},
      {"rootfs", manifest.local.rootfs},
      {"docker", {{"wire", manifest.docker.wire}, {"runtime", manifest.docker.runtime}}},
      {"guest",
       {{"user", plan.guest.user}, {"uid", plan.guest.uid}, {"gid", plan.guest.gid}, {"home", plan.guest.home}}},
      {"workspace",
       {{"mode", name_of(mode)},
        {"source", mode == manifest::Workspace::Mode::none ? std::string() : plan.choices.cwd.string()},
        {"path", manifest.workspace.path}}},
      {"resources", std::move(resources)},
      {"image", {{"dockerfile", dockerfile}}},
      {"endpoints", to_array(endpoints_of(manifest))},
      {"reuse", plan.choices.home == GuestHome::reused && plan.choices.snapshot.empty()}};
  if (!plan.choices.snapshot.empty()) spec["snapshot"] = plan.choices.snapshot;
  return spec;
}

}  // namespace bot_bottle::plan
