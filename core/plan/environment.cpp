// The guest's environment (spec 04 Certificates, docs/internals.md exec/1).
#include <algorithm>

#include "core/base/paths.hpp"
#include "core/plan/plan.hpp"

namespace bot_bottle::plan {
namespace {

// Where the backend puts them (docs/internals.md, launch/1).
constexpr const char* bundle_path = "/etc/ssl/certs/ca-certificates.crt";
constexpr const char* own_ca_path = "/etc/bot-bottle/ca.pem";
constexpr const char* java_trust_path = "/etc/ssl/certs/java/cacerts";

/// The system's roots and ours: for programs that replace their trust by this file.
constexpr const char* bundle_variables[] = {"SSL_CERT_FILE",  "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
                                            "GIT_SSL_CAINFO", "CARGO_HTTP_CAINFO",  "PIP_CERT",
                                            "AWS_CA_BUNDLE"};
/// Ours alone: for programs that add the file to the roots they bring.
constexpr const char* addition_variables[] = {"NODE_EXTRA_CA_CERTS", "DENO_CERT", "CODEX_CA_CERTIFICATE"};

/// Java has options where others have variables: this is the one way that every JVM reads, and it says so on standard
/// error. The password is the customary one of a store that holds no secret.
std::string java_options(std::string_view proxy) {
  const std::size_t colon = proxy.rfind(':');
  std::string options =
      "-Djavax.net.ssl.trustStore=" + std::string(java_trust_path) + " -Djavax.net.ssl.trustStorePassword=changeit";
  for (const char* scheme : {"http", "https"}) {
    options += " -D" + std::string(scheme) + ".proxyHost=" + std::string(proxy.substr(0, colon));
    options += " -D" + std::string(scheme) + ".proxyPort=" + std::string(proxy.substr(colon + 1));
  }
  return options + " -Dhttp.nonProxyHosts=localhost|127.*|[::1]|egress|git-gate|supervise";
}

/// terminfo(5) names; anything else is not told to the guest.
bool is_terminal_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.' || c == '+';
  });
}

void add_object(std::map<std::string, std::string>& env, const json::object& document) {
  const json::object* values = find_object(document, "env");
  if (values == nullptr) return;
  for (const auto& member : *values)
    if (member.value().is_string()) env[std::string(member.key())] = std::string(member.value().as_string());
}

}  // namespace

HostFacts HostFacts::read(const Home& home) {
  HostFacts facts;
  facts.operator_home = or_throw(bot_bottle::operator_home());
  facts.product_home = home.root;
  if (auto path = environment("PATH"); path && !path->empty()) facts.search_path = *path;
  facts.term = environment("TERM").value_or("");
  facts.colorterm = environment("COLORTERM").value_or("");
  return facts;
}

std::map<std::string, std::string> make_guest_environment(const Plan& plan,
                                                          const std::map<std::string, std::string>& values,
                                                          const json::object& endpoints) {
  std::map<std::string, std::string> env{
      {"HOME", plan.guest.home},
      {"USER", plan.guest.user},
      {"LOGNAME", plan.guest.user},
      {"SHELL", "/bin/sh"},
      {"LANG", "C.UTF-8"},
      {"PATH", plan.guest.home + "/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
      {"TERM", plan.choices.session != Session::headless && is_terminal_name(plan.host.term) ? plan.host.term : "dumb"},
      {"BOT_BOTTLE", "1"},
      {"BOT_BOTTLE_SLUG", plan.slug},
      {"BOT_BOTTLE_AGENT", plan.name()},
      {"BOT_BOTTLE_WORKSPACE", plan.guest.workspace},
  };
  if (!plan.choices.label.empty()) env["BOT_BOTTLE_LABEL"] = plan.choices.label;
  if (plan.choices.session != Session::headless && is_terminal_name(plan.host.colorterm))
    env["COLORTERM"] = plan.host.colorterm;

  const std::string address = get_string(endpoints, "egress", "127.0.0.1:9099");
  const std::string proxy = "http://" + address;
  for (const char* name : {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"})
    env[name] = proxy;
  for (const char* name : {"NO_PROXY", "no_proxy"}) env[name] = "localhost,127.0.0.1,::1,egress,git-gate,supervise";
  // Node's own fetch and http look at the proxy variables only when they are told to (Node 22.21, 24.5; older: never).
  env["NODE_USE_ENV_PROXY"] = "1";
  env["JAVA_TOOL_OPTIONS"] = java_options(address);
  for (const char* name : bundle_variables) env[name] = bundle_path;
  for (const char* name : addition_variables) env[name] = own_ca_path;

  add_object(env, plan.description);
  add_object(env, plan.provider_plan);
  for (const auto& [name, value] : values) env[name] = value;
  return env;
}

json::object to_json(const ExecRequest& request) {
  json::object env;
  for (const auto& [name, value] : request.env) env[name] = value;
  return {{"schema", "bot-bottle.exec/1"},
          {"argv", to_array(request.argv)},
          {"env", std::move(env)},
          {"cwd", request.cwd},
          {"user", request.user},
          {"tty", request.terminal == Terminal::yes},
          {"rows", request.rows},
          {"columns", request.columns},
          {"timeout_ms", request.timeout_ms},
          {"max_output", request.max_output}};
}

}  // namespace bot_bottle::plan
