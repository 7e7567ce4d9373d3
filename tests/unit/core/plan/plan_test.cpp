// The pure part of a launch: environment, documents, secrets, preflight.
#include "core/plan/plan.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/random.hpp"
#include "core/base/text.hpp"
#include "core/base/text_width.hpp"
#include "core/plan/secrets.hpp"

namespace bot_bottle::plan {
namespace {

constexpr const char* secret_text = "s3cr3t-\"quoted\"\\-value";

policy::Route route(const std::string& host) {
  policy::Route made;
  made.host = host;
  return made;
}

Plan sample() {
  Plan plan;
  plan.manifest.agent = "writer";
  plan.manifest.bottle = "dev";
  plan.manifest.bottle_chain = {"dev", "base"};
  plan.manifest.agent_file = "/home/me/.bot-bottle/agents/writer.md";
  plan.manifest.prompt = "You write.";
  plan.manifest.provider.plugin = "claude";
  plan.manifest.provider.auth_token = "API_TOKEN";
  plan.manifest.git_user = {"Ann Example", "ann@example.com"};
  plan.manifest.provenance["git.user.name"] = {"/home/me/.bot-bottle/agents/writer.md", 4, 1};
  plan.manifest.provenance["git.user.email"] = {"/home/me/.bot-bottle/agents/writer.md", 4, 1};
  plan.manifest.skills = {"pdf"};
  plan.manifest.env["EDITOR"] = {manifest::EnvEntry::Kind::literal, "vi", {}};
  policy::Route api = route("api.example.com");
  api.auth = policy::Auth{policy::Auth::Scheme::bearer, "authorization", "OTHER_TOKEN"};
  api.matches.resize(2);
  plan.manifest.egress.routes = {api, route("model.example.com")};
  plan.choices.cwd = "/home/me/project";
  plan.choices.label = "issue-42";
  plan.host.operator_home = "/home/me";
  plan.host.product_home = "/home/me/.bot-bottle";
  plan.host.term = "xterm-256color";
  plan.slug = "issue-42";
  plan.state_dir = "/home/me/.bot-bottle/state/issue-42";
  plan.provider = "claude";
  plan.backend = "local";
  plan.description = {{"display_name", "Claude Code"}, {"guest_home", "/home/agent"}, {"program", "claude"}};
  plan.provider_plan = {
      {"env", {{"TELEMETRY", "off"}, {"API_TOKEN_PLACEHOLDER", "egress-placeholder"}}},
      {"hidden_env", json::array{"API_TOKEN_PLACEHOLDER"}},
      {"egress_routes", json::array{json::object{{"host", "model.example.com"},
                                                 {"auth", {{"scheme", "Bearer"}, {"token_ref", "API_TOKEN"}}}}}},
      {"placeholders", json::array{json::object{{"value", "egress-placeholder"}, {"token_ref", "API_TOKEN"}}}}};
  plan.backend_plan = {{"summary", json::array{"bwrap 0.8"}}, {"control_peer_uids", json::array{1000}}};
  return plan;
}

Plan planned() {
  Plan plan = sample();
  plan_guest(plan);
  plan.provider_spec = make_provider_spec(plan);
  plan_egress(plan);
  plan.backend_spec = make_backend_spec(plan);
  return plan;
}

ErrorKind kind_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Failure& failure) {
    return failure.error().kind;
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorKind::internal;
}

TEST(GuestEnvironment, has_proxy_and_trust_in_every_spelling_and_nothing_of_the_host) {
  ::setenv("BB_HOST_ONLY", "host-value", 1);
  const auto env = make_guest_environment(planned(), {{"EDITOR", "vi"}}, {{"egress", "127.0.0.1:9099"}});
  const std::map<std::string, std::string> expected{
      {"ALL_PROXY", "http://127.0.0.1:9099"},
      {"API_TOKEN_PLACEHOLDER", "egress-placeholder"},
      {"AWS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt"},
      {"BOT_BOTTLE", "1"},
      {"BOT_BOTTLE_AGENT", "writer"},
      {"BOT_BOTTLE_LABEL", "issue-42"},
      {"BOT_BOTTLE_SLUG", "issue-42"},
      {"BOT_BOTTLE_WORKSPACE", "/workspace"},
      {"CARGO_HTTP_CAINFO", "/etc/ssl/certs/ca-certificates.crt"},
      {"CODEX_CA_CERTIFICATE", "/etc/bot-bottle/ca.pem"},
      {"CURL_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt"},
      {"DENO_CERT", "/etc/bot-bottle/ca.pem"},
      {"EDITOR", "vi"},
      {"GIT_SSL_CAINFO", "/etc/ssl/certs/ca-certificates.crt"},
      {"HOME", "/home/agent"},
      {"HTTPS_PROXY", "http://127.0.0.1:9099"},
      {"HTTP_PROXY", "http://127.0.0.1:9099"},
      {"JAVA_TOOL_OPTIONS",
       "-Djavax.net.ssl.trustStore=/etc/ssl/certs/java/cacerts -Djavax.net.ssl.trustStorePassword=changeit "
       "-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=9099 -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=9099 "
       "-Dhttp.nonProxyHosts=localhost|127.*|[::1]|egress|git-gate|supervise"},
      {"LANG", "C.UTF-8"},
      {"LOGNAME", "agent"},
      {"NODE_EXTRA_CA_CERTS", "/etc/bot-bottle/ca.pem"},
      {"NODE_USE_ENV_PROXY", "1"},
      {"NO_PROXY", "localhost,127.0.0.1,::1,egress,git-gate,supervise"},
      {"PATH", "/home/agent/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
      {"PIP_CERT", "/etc/ssl/certs/ca-certificates.crt"},
      {"REQUESTS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt"},
      {"SHELL", "/bin/sh"},
      {"SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"},
      {"TELEMETRY", "off"},
      {"TERM", "xterm-256color"},
      {"USER", "agent"},
      {"all_proxy", "http://127.0.0.1:9099"},
      {"http_proxy", "http://127.0.0.1:9099"},
      {"https_proxy", "http://127.0.0.1:9099"},
      {"no_proxy", "localhost,127.0.0.1,::1,egress,git-gate,supervise"},
  };
  EXPECT_EQ(env, expected);
}

TEST(GuestEnvironment, later_sources_win_and_a_strange_terminal_is_not_told) {
  Plan plan = planned();
  plan.description["env"] = {{"A", "description"}, {"B", "description"}, {"C", "description"}};
  plan.provider_plan["env"] = {{"B", "provider"}, {"C", "provider"}};
  plan.host.term = "evil\x1b[31m";
  const auto env = make_guest_environment(plan, {{"C", "manifest"}}, {});
  EXPECT_EQ(env.at("A"), "description");
  EXPECT_EQ(env.at("B"), "provider");
  EXPECT_EQ(env.at("C"), "manifest");
  EXPECT_EQ(env.at("TERM"), "dumb");
  plan.host.term = "xterm";
  plan.choices.session = Session::headless;
  EXPECT_EQ(make_guest_environment(plan, {}, {}).at("TERM"), "dumb");
}

TEST(PlanEgress, a_providers_route_wins_over_the_bottles_and_says_so) {
  const Plan plan = planned();
  ASSERT_EQ(plan.egress.routes.size(), 2U);
  EXPECT_EQ(plan.egress.routes[0].host, "api.example.com");
  EXPECT_EQ(plan.egress.routes[0].origin, "bottle");
  EXPECT_EQ(plan.egress.routes[1].host, "model.example.com");
  EXPECT_EQ(plan.egress.routes[1].origin, "provider:claude");
  ASSERT_TRUE(plan.egress.routes[1].auth);
  EXPECT_EQ(plan.secret_names, (std::vector<std::string>{"API_TOKEN", "OTHER_TOKEN"}));
  ASSERT_EQ(plan.warnings.size(), 1U);
  EXPECT_NE(plan.warnings[0].find("model.example.com"), std::string::npos);
}

TEST(PlanEgress, a_forwarded_login_is_no_variable_and_goes_to_the_providers_hosts_alone) {
  Plan plan = sample();
  plan.manifest.provider.auth_token.clear();
  plan.manifest.provider.forward_host_credentials = true;
  EXPECT_EQ(kind_of([&] { plan_egress(plan); }), ErrorKind::unsupported) << "this provider names none";
  plan.provider_plan["host_secrets"] = json::array{"API_TOKEN", "API_ACCOUNT"};
  plan_egress(plan);
  EXPECT_EQ(plan.host_secret_names, (std::vector<std::string>{"API_ACCOUNT", "API_TOKEN"}));
  EXPECT_EQ(plan.secret_names, (std::vector<std::string>{"OTHER_TOKEN"}));
  plan.provider_plan["host_secrets"].as_array().emplace_back("OTHER_TOKEN");
  EXPECT_EQ(kind_of([&] { plan_egress(plan); }), ErrorKind::invalid_argument)
      << "the bottle's own route would carry it";
  plan.provider_plan["host_secrets"] = json::array{"API_TOKEN", "API_ACCOUNT"};
  const auto is_carried_by = [&](const auto& change) {
    Plan other = plan;
    change(other.manifest);
    return kind_of([&] { plan_egress(other); }) == ErrorKind::invalid_argument;
  };
  EXPECT_TRUE(is_carried_by([](manifest::Manifest& it) {
    it.egress.routes.front().auth->account_header = "x-account";
    it.egress.routes.front().auth->account_ref = "API_TOKEN";
  })) << "as the account of another host";
  EXPECT_TRUE(is_carried_by([](manifest::Manifest& it) {
    it.egress.upstream_proxy = policy::UpstreamProxy{"proxy.example.com", 3128, "API_TOKEN"};
  })) << "as the login at a proxy";
  EXPECT_TRUE(is_carried_by([](manifest::Manifest& it) {
    it.git_gate_repos["app"] =
        json::object{{"url", "https://git.example.com/app.git"}, {"auth", json::object{{"token_ref", "API_TOKEN"}}}};
  })) << "as the login at a forge";
  EXPECT_TRUE(is_carried_by([](manifest::Manifest& it) { it.provider.auth_token = "API_TOKEN"; }));
  plan.provider_plan["host_secrets"] = json::array{"API_TOKEN"};
  plan.manifest.provider.forward_host_credentials = false;
  EXPECT_EQ(kind_of([&] { plan_egress(plan); }), ErrorKind::internal) << "the bottle does not grant it";
}

TEST(PlanEgress, a_providers_bad_route_stops_the_launch) {
  Plan plan = sample();
  plan.provider_plan["egress_routes"] = json::array{json::object{{"host", "*.example.com"}}};
  EXPECT_EQ(kind_of([&] { plan_egress(plan); }), ErrorKind::internal);
}

TEST(PlanGuest, a_workspace_that_holds_keys_or_our_own_state_is_refused) {
  for (const char* cwd : {"/home/me", "/home", "/", "/home/me/.bot-bottle", "/home/me/.bot-bottle/state/x"}) {
    Plan plan = sample();
    plan.choices.cwd = cwd;
    EXPECT_EQ(kind_of([&] { plan_guest(plan); }), ErrorKind::refused) << cwd;
    plan.choices.workspace = WorkspaceChoice::none;
    plan_guest(plan);
    EXPECT_EQ(plan.guest.workspace, "/home/agent");
  }
  Plan near = sample();
  near.choices.cwd = "/home/me2";
  plan_guest(near);
  EXPECT_EQ(near.guest.workspace, "/workspace");
}

TEST(BackendSpec, says_what_the_manifest_says_and_leaves_defaults_to_the_backend) {
  Plan plan = sample();
  plan.manifest.resources.memory_bytes = 4294967296;
  plan.manifest.local.bind_ro = {"/opt/tool"};
  plan_guest(plan);
  const json::object spec = make_backend_spec(plan);
  EXPECT_EQ(spec.at("resources"), (json::object{{"memory", std::uint64_t{4294967296}}}));
  EXPECT_EQ(spec.at("workspace"),
            (json::object{{"mode", "copy"}, {"source", "/home/me/project"}, {"path", "/workspace"}}));
  EXPECT_EQ(get_strings(spec, "bind_ro"), (std::vector<std::string>{"/opt/tool"}));
  EXPECT_EQ(get_string(spec, "program"), "claude");
  EXPECT_EQ(get_bool(spec, "reuse", true), false);
}

class SecretsTest : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("API_TOKEN", secret_text, 1);
    ::setenv("OTHER_TOKEN", "other-secret-0123", 1);
  }
  void TearDown() override {
    ::unsetenv("API_TOKEN");
    ::unsetenv("OTHER_TOKEN");
  }
};

TEST_F(SecretsTest, reach_the_sidecars_configuration_and_no_other_document) {
  const Plan plan = planned();
  const auto secrets = load_secrets(plan.secret_names);
  const json::object config = make_public_sidecar_config(plan, {});
  for (const json::value& document :
       {json::value(config), json::value(plan.provider_spec), json::value(plan.backend_spec),
        json::value(preflight_json(plan)), json::value(preflight_text(plan, {}))})
    EXPECT_FALSE(find_secret(document, secrets));
  const SecretBytes text = make_sidecar_config(config, secrets);
  const json::object whole = or_throw(parse_json_object(text.view()));
  EXPECT_EQ(whole.at("secrets"), (json::array{json::object{{"name", "API_TOKEN"}, {"value", secret_text}},
                                              json::object{{"name", "OTHER_TOKEN"}, {"value", "other-secret-0123"}}}));
  EXPECT_EQ(whole.at("control_peer_uids"), (json::array{1000}));
  EXPECT_EQ(whole.at("placeholders"), plan.provider_plan.at("placeholders"));
  EXPECT_EQ(get_string(whole, "schema"), "bot-bottle.sidecar-config/1");
  EXPECT_TRUE(policy::parse_egress(whole.at("egress")).problems.empty());
}

TEST_F(SecretsTest, every_octet_of_a_secret_survives_the_configuration) {
  std::string strange = "tab\there \"quote\" \\back\n newline \x01 ctrl ü 漢";
  ::setenv("API_TOKEN", strange.c_str(), 1);
  const auto secrets = load_secrets({"API_TOKEN"});
  const SecretBytes text = make_sidecar_config({{"schema", "x"}}, secrets);
  const json::object whole = or_throw(parse_json_object(text.view()));
  EXPECT_EQ(get_string(whole.at("secrets").as_array()[0].as_object(), "value"), strange);
}

TEST_F(SecretsTest, F1_a_secret_in_the_guests_environment_is_refused_and_its_value_not_shown) {
  const auto secrets = load_secrets({"API_TOKEN"});
  const json::object env{{"MY_KEY", std::string("Bearer ") + secret_text}};
  try {
    refuse_secrets(env, "the environment", secrets);
    FAIL() << "it was let through";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::refused);
    EXPECT_NE(failure.error().message.find("API_TOKEN"), std::string::npos);
    EXPECT_NE(failure.error().message.find("MY_KEY"), std::string::npos);
    EXPECT_EQ(failure.error().message.find(secret_text), std::string::npos);
  }
  EXPECT_EQ(find_secret(json::object{{"files", json::array{json::object{{"content", secret_text}}}}}, secrets)->where,
            "files[0].content");
}

TEST_F(SecretsTest, all_that_cannot_be_read_are_named_at_once) {
  ::setenv("OTHER_TOKEN", "short", 1);
  ::unsetenv("API_TOKEN");
  try {
    load_secrets({"API_TOKEN", "OTHER_TOKEN"});
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_NE(failure.error().details.find("API_TOKEN is not set"), std::string::npos);
    EXPECT_NE(failure.error().details.find("OTHER_TOKEN has fewer than 8"), std::string::npos);
    EXPECT_EQ(failure.error().details.find("short:"), std::string::npos);
  }
}

TEST_F(SecretsTest, the_upstream_ca_is_handed_over_as_text) {
  const std::filesystem::path file = std::filesystem::temp_directory_path() / ("bb-ca-" + random_base36(8) + ".pem");
  std::ofstream(file) << "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  Plan plan = planned();
  plan.egress.upstream_ca = file.string();
  const json::object config = make_public_sidecar_config(plan, {});
  EXPECT_NE(get_string(*find_object(config, "egress"), "upstream_ca").find("BEGIN CERTIFICATE"), std::string::npos);
  std::ofstream(file) << "not a certificate";
  EXPECT_EQ(kind_of([&] { make_public_sidecar_config(plan, {}); }), ErrorKind::invalid_argument);
  std::filesystem::remove(file);
}

TEST(Preflight, is_what_the_operator_reads) {
  EXPECT_EQ(preflight_text(planned(), {}),
            "bottle id  issue-42\n"
            "agent      writer (~/.bot-bottle/agents/writer.md)\n"
            "provider   Claude Code (claude)\n"
            "backend    local\n"
            "           bwrap 0.8\n"
            "bottle     dev ← base\n"
            "workspace  ~/project → /workspace (copy)\n"
            "env        EDITOR, TELEMETRY\n"
            "skills     pdf\n"
            "git        Ann Example <ann@example.com> (agents/writer.md:4)\n"
            "egress     api.example.com [auth:Bearer] [matches:2] [dlp]\n"
            "           model.example.com [auth:Bearer] [dlp:tokens+secrets+inbound mcp] (provider:claude)\n"
            "canaries   ~/.aws/credentials, ~/.netrc, ~/.npmrc, /workspace/.env\n"
            "warning    the route of the bottle for model.example.com gives way to the one of the provider claude\n");
}

TEST(Preflight, says_so_when_the_agent_comes_from_the_repository_or_nothing_is_allowed) {
  Plan plan = planned();
  plan.manifest.agent_origin = manifest::Origin::repository;
  plan.egress.routes.clear();
  const std::string text = preflight_text(plan, {});
  EXPECT_NE(text.find("from this repository"), std::string::npos);
  EXPECT_NE(text.find("nothing: no route is allowed"), std::string::npos);
}

TEST(Preflight, K4_text_of_a_repositorys_agent_cannot_forge_lines) {
  Plan plan = planned();
  plan.manifest.git_user.name = "Ann\nbackend    none\x1b[8m";
  const std::string text = preflight_text(plan, {});
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find("\nbackend    none"), std::string::npos);
}

TEST(Preflight, wraps_at_the_width_and_loses_nothing) {
  Plan plan = planned();
  const std::string host = std::string(70, 'a') + ".very-long-name.example.com";
  plan.egress.routes.push_back(route(host));
  for (int i = 0; i < 30; ++i) plan.manifest.skills.push_back("skill-" + std::to_string(i));
  const std::string wide = preflight_text(plan, {});
  for (const std::size_t width : {40U, 60U, 80U}) {
    const std::string text = preflight_text(plan, {.width = width});
    for (const std::string_view line : split(text, '\n')) EXPECT_LE(text_width(line), width) << line;
    // An operator who reads the cut half of a host's name agrees to something else.
    std::string together;
    std::string all;
    for (const char c : text)
      if (c != ' ' && c != '\n') together += c;
    for (const char c : wide)
      if (c != ' ' && c != '\n') all += c;
    EXPECT_EQ(together, all);
  }
}

TEST(Preflight, a_repository_of_the_gate_is_host_port_and_kind_of_key) {
  Plan plan = planned();
  plan.manifest.git_gate_repos = {
      {"app", {{"url", "ssh://git@forge.example.com/team/app.git"}, {"key", {{"provider", "gitea"}}}}},
      {"six", {{"url", "ssh://git@forge.example.com:2222/x@y.git"}, {"key", {{"provider", "static"}}}}},
      {"web", {{"url", "https://forge.example.com/web.git"}}},
      {"short", {{"url", "git@forge.example.com:team/short.git"}}}};
  const std::string text = preflight_text(plan, {});
  for (const char* line :
       {"git-gate   app → forge.example.com:22 [gitea]\n", " six → forge.example.com:2222 [static]\n",
        " web → forge.example.com:443\n", " short → forge.example.com:22\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
}

TEST(Preflight, has_colours_only_where_they_are_wanted) {
  EXPECT_EQ(preflight_text(planned(), {.width = 80}).find('\x1b'), std::string::npos);
  EXPECT_NE(preflight_text(planned(), {.width = 80, .color = true}).find("\x1b[33mwarning"), std::string::npos);
}

TEST(Preflight, json_has_names_and_no_values) {
  const json::object document = preflight_json(planned());
  EXPECT_EQ(get_string(document, "schema"), "bot-bottle.preflight/1");
  EXPECT_EQ(get_strings(document, "env"), (std::vector<std::string>{"EDITOR", "TELEMETRY"}));
  EXPECT_EQ(find_array(document, "routes")->size(), 2U);
  EXPECT_EQ(to_text(document).find("egress-placeholder"), std::string::npos);
}

}  // namespace
}  // namespace bot_bottle::plan
