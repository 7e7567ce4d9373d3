// The provider part of `plugin check`: a provider only declares, so all of it can be checked anywhere.
#include <algorithm>
#include <chrono>

#include "core/base/text.hpp"
#include "core/plugins/check.hpp"

namespace bot_bottle::plugins {
namespace {

/// describe and plan are pure: longer is a call that hangs.
constexpr std::chrono::seconds pure_limit{10};
constexpr const char* prompt_marker = "the-prompt-of-the-check";

json::object base_spec() {
  return {{"schema", "bot-bottle.provider-spec/1"},
          {"agent", "checked"},
          {"slug", "checked-1"},
          {"label", "a label"},
          {"color", "green"},
          {"prompt", "you are checked"},
          {"args", json::array{"--extra", "two words"}},
          {"headless", false},
          {"headless_prompt", ""},
          {"auth_token_ref", ""},
          {"forward_host_credentials", false},
          {"command", json::array{"sh", "-c", "true"}},
          {"resume", false},
          {"guest", json::object{{"home", "/home/agent"}, {"user", "agent"}, {"workspace", "/workspace"}}},
          {"supervise", false},
          {"model", ""}};
}

struct Variant {
  const char* name;
  json::object changes;
  bool may_be_refused = false;
};

std::vector<Variant> variants() {
  return {{"interactive", {}},
          {"headless", {{"headless", true}, {"headless_prompt", prompt_marker}}},
          {"with a token", {{"auth_token_ref", "CHECKED_TOKEN"}}},
          {"resumed", {{"resume", true}}, true},
          {"supervised", {{"supervise", true}, {"model", "a-model"}}},
          {"without label and prompt", {{"label", ""}, {"prompt", ""}, {"color", ""}}}};
}

std::string check_argv(const std::string& name, const json::value& value, bool may_be_empty) {
  const json::array& argv = value.as_array();
  if (argv.empty()) return may_be_empty ? "" : name + " is empty";
  for (const json::value& item : argv) {
    const auto& text = item.as_string();
    if (std::string_view(text.data(), text.size()).find('\0') != std::string_view::npos) return name + " has a NUL";
  }
  const std::string program(argv[0].as_string());
  if (program.empty()) return name + "[0] is empty";
  // A relative path means another file in each working directory, and the workspace is the agent's to write.
  if (program.find('/') != std::string::npos && program.front() != '/')
    return name + "[0], \"" + program + "\", is a relative path: a plain name or an absolute path is needed";
  return {};
}

/// A name that a shell takes.
bool is_variable(std::string_view name) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !name.empty() && is_letter(name.front()) &&
         std::ranges::all_of(name, [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

/// What the schema cannot say. The document is valid by now.
std::string check_shapes(const json::object& plan, const json::object& spec) {
  const bool headless = get_bool(spec, "headless", false);
  for (const char* name : {"argv", "resume_argv", "headless_argv"}) {
    const bool needed = headless ? std::string_view(name) == "headless_argv" : std::string_view(name) == "argv";
    if (auto problem = check_argv(name, plan.at(name), !needed); !problem.empty()) return problem;
  }
  for (const char* name : {"commands", "mcp_commands"}) {
    for (const json::value& argv : plan.at(name).as_array()) {
      if (auto problem = check_argv(name, argv, false); !problem.empty()) return problem;
    }
  }
  const json::object& env = plan.at("env").as_object();
  for (const auto& [key, value] : env) {
    if (!is_variable(key)) return "env has a bad name: " + std::string(key);
  }
  for (const std::string& hidden : get_strings(plan, "hidden_env")) {
    if (!env.contains(hidden)) return "hidden_env names " + hidden + ", which is not in env";
  }
  const std::string home = get_string(spec.at("guest").as_object(), "home");
  for (const json::value& file : plan.at("files").as_array()) {
    const std::string path = get_string(file.as_object(), "path");
    if (!path.starts_with(home + "/") || path.find("/../") != std::string::npos || path.ends_with("/..")) {
      return "the file " + path + " is not below the guest's home " + home;
    }
  }
  const std::string token = get_string(spec, "auth_token_ref");
  for (const json::value& item : plan.at("placeholders").as_array()) {
    const std::string value = get_string(item.as_object(), "value");
    const std::string name = get_string(item.as_object(), "token_ref");
    if (value.empty() || name.empty()) return "a placeholder lacks its value or token_ref";
    if (token.empty() && name == "CHECKED_TOKEN") return "a placeholder names a token that was not given";
  }
  for (const json::value& route : plan.at("egress_routes").as_array()) {
    if (get_string(route.as_object(), "host").empty()) return "an egress route has no host";
    const json::object* auth = find_object(route.as_object(), "auth");
    if (auth != nullptr && get_string(*auth, "token_ref") != token)
      return "a route's auth names the token \"" + get_string(*auth, "token_ref") + "\", which was not given";
  }
  return {};
}

}  // namespace

void check_provider(CheckContext& context, Provider& provider) {
  const std::string name = "provider:" + provider.name();
  Checker& checker = context.checker;
  json::object description;
  const bool described = checker.check(
      name + ": describe fits its schema",
      [&] {
        description = provider.describe();
        return schema_problems(context.schemas, description, "bot-bottle.provider-description/1");
      },
      pure_limit);
  if (!described) return;
  checker.check(name + ": describe is pure and holds no secret", [&]() -> std::string {
    if (provider.describe() != description) return "two calls give two documents";
    return leaked_secrets(context, description);
  });
  for (const Variant& variant : variants()) {
    json::object spec = base_spec();
    for (const auto& [key, value] : variant.changes) spec[key] = value;
    json::object plan;
    const std::string prefix = name + ": plan (" + variant.name + ") ";
    bool refused = false;
    const bool valid = checker.check(
        prefix + "fits its schema",
        [&]() -> std::string {
          try {
            plan = provider.plan(spec);
          } catch (const Failure& failure) {
            // Not every agent can go on where it stopped.
            refused = variant.may_be_refused && failure.error().kind == ErrorKind::unsupported;
            if (refused) return {};
            throw;
          }
          return schema_problems(context.schemas, plan, "bot-bottle.provider-plan/1");
        },
        pure_limit);
    if (!valid || refused) continue;
    checker.check(prefix + "is pure",
                  [&]() -> std::string { return provider.plan(spec) == plan ? "" : "the same spec gives two plans"; });
    checker.check(prefix + "has argvs, files and names that can be used", [&] { return check_shapes(plan, spec); });
    checker.check(prefix + "holds no secret", [&] { return leaked_secrets(context, plan); });
    checker.check(prefix + "gives the prompt once", [&]() -> std::string {
      const bool on_argv = to_text(plan.at("headless_argv")).find(prompt_marker) != std::string::npos;
      return on_argv && get_string(plan, "headless_stdin") == "prompt"
                 ? "the prompt is on headless_argv and on standard input"
                 : "";
    });
  }
  checker.check(name + ": unknown fields of the spec are ignored", [&]() -> std::string {
    json::object spec = base_spec();
    const json::object plan = provider.plan(spec);
    spec["a_field_of_the_future"] = json::object{{"deep", json::array{1, nullptr}}};
    return provider.plan(spec) == plan ? "" : "the plan changed";
  });
}

}  // namespace bot_bottle::plugins
