#include "plugins/backend-driven/plan_parts.hpp"

#include <algorithm>
#include <iterator>

#include "core/base/json.hpp"

namespace bot_bottle::driven {

namespace fs = std::filesystem;

json::array plan_endpoints(const std::vector<std::string>& names) {
  json::array endpoints;
  for (const std::string& name : names) {
    const auto* known = std::ranges::find_if(known_endpoints, [&](const auto& entry) { return name == entry.first; });
    if (known == std::end(known_endpoints))
      throw sdk::Error(sdk::Status::invalid_argument, "unknown endpoint '" + name + "'");
    endpoints.push_back(json::object{{"name", name}, {"port", known->second}});
  }
  return endpoints;
}

void check_guest_path(const std::string& what, const std::string& path) {
  const fs::path normal = fs::path(path).lexically_normal();
  const bool deep =
      path.starts_with('/') && std::distance(normal.begin(), normal.end()) >= 2 && normal == fs::path(path);
  if (!deep || path.back() == '/')
    throw sdk::Error(sdk::Status::invalid_argument, what + ": '" + path + "' is not a plain absolute path");
  for (const char* own :
       {"/usr", "/etc", "/proc", "/dev", "/run", "/tmp", "/bin", "/sbin", "/lib", "/lib64", "/var", "/sys"})
    if (path == own || path.starts_with(std::string(own) + "/"))
      throw sdk::Error(sdk::Status::invalid_argument, what + ": '" + path + "' would cover a part of the bottle");
}

void plan_workspace(const sdk::Spec& spec, const fs::path& home, const fs::path& operator_home, sdk::Plan& plan,
                    json::object& data) {
  const std::string mode = spec.workspace.mode == "bind" ? "mount" : spec.workspace.mode;
  data["workspace_mode"] = mode.empty() ? "none" : mode;
  data["workspace_path"] = spec.workspace.path;
  check_guest_path("workspace", spec.workspace.path);
  if (mode.empty() || mode == "none") return;
  if (mode != "copy" && mode != "mount")
    throw sdk::Error(sdk::Status::invalid_argument, "workspace: unknown mode '" + mode + "'");
  std::error_code code;
  const fs::path source = fs::canonical(spec.workspace.source, code);
  if (code) throw sdk::Error(sdk::Status::not_found, "workspace: " + spec.workspace.source + ": " + code.message());
  if (!fs::is_directory(source))
    throw sdk::Error(sdk::Status::invalid_argument, "workspace: " + source.string() + " is not a directory");
  data["workspace_source"] = source.string();
  if (mode == "copy") {
    plan.summary.push_back("workspace: a copy of " + source.string() + " at " + spec.workspace.path);
    return;
  }
  // Never a tree that holds the operator's home or our own state (attack H7).
  for (const fs::path& kept : {operator_home, home})
    if (!kept.empty() &&
        (kept == source || std::mismatch(source.begin(), source.end(), kept.begin(), kept.end()).first == source.end()))
      throw sdk::Error(sdk::Status::invalid_argument,
                       "workspace: " + source.string() + " cannot be mounted: it holds " + kept.string(),
                       "use a project directory, or workspace = \"copy\"");
}

std::vector<std::string> plan_disabled_guards(const sdk::Spec& spec) {
  std::vector<std::string> guards = get_strings(spec.extra, "disabled_guards");
#ifndef BB_TEST_HOOKS
  if (!guards.empty())
    throw sdk::Error(sdk::Status::unsupported, "guards cannot be switched off: this build has no test hooks");
#endif
  return guards;
}

sdk::StringMap endpoint_addresses(const json::object& plan_data) {
  sdk::StringMap addresses;
  if (const json::array* endpoints = find_array(plan_data, "endpoints"))
    for (const json::value& value : *endpoints)
      addresses[get_string(value.as_object(), "name")] =
          "127.0.0.1:" + std::to_string(get_int(value.as_object(), "port", 0));
  return addresses;
}

}  // namespace bot_bottle::driven
