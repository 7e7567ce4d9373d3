// The provider for Codex. Facts about the program: @openai/codex 0.169.0, tried against fakes of its APIs.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bot_bottle/plugin.hpp>
#include <cerrno>
#include <string_view>
#include <utility>

#include "copy_config.hpp"
#include "dummy_login.hpp"
#include "host_login.hpp"
#include "plugins/provider-config/text.hpp"
#include "toml_text.hpp"

namespace {

using namespace bot_bottle::sdk;
namespace codex = bot_bottle::provider_codex;
namespace provider_config = bot_bottle::provider_config;

/// What host_credentials() hands over, by the kind of login.
constexpr const char* chatgpt_token = "CODEX_LOGIN_TOKEN";
constexpr const char* chatgpt_account = "CODEX_LOGIN_ACCOUNT";
constexpr const char* login_key = "CODEX_LOGIN_KEY";

/// Codex's features that only ask hosts for more, and the server that it would leave behind in the background. With an
/// API key it looks for its models at ChatGPT, where a key is worth nothing: ten seconds of every start, refused.
constexpr std::array<std::string_view, 6> features_off{"apps",         "plugins",           "remote_plugin",
                                                       "tool_suggest", "daemon_auto_start", "api_key_model_discovery"};

/// Of a host what a turn needs, for the credential reaches more there: the account's files and settings at OpenAI's
/// API; at ChatGPT, the conversations, the name and the address of the person.
json::object make_route(const char* host, const char* prefix, json::object auth, const char* foreign = "refuse") {
  json::array paths;
  for (const char* name : {"responses", "models"})
    paths.push_back(json::object{{"type", "prefix"}, {"value", std::string(prefix) + name}});
  json::object route{
      {"host", host},
      {"matches", json::array{json::object{{"paths", std::move(paths)}, {"methods", json::array{"GET", "POST"}}}}}};
  if (auth.empty()) return route;
  route["auth"] = std::move(auth);
  // Somebody else's account on our allowed host would be a way out (catalogue E3): what the agent brings never goes
  // there.
  route["foreign_credentials"] = foreign;
  return route;
}

void write_whole(int fd, std::string_view octets) {
  while (!octets.empty()) {
    const ssize_t written = ::write(fd, octets.data(), octets.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) throw Error(Status::internal, "the login cannot be handed over");
    octets.remove_prefix(static_cast<std::size_t>(written));
  }
}

/// A Claude Code subagent file may be an agent file, too: its models are none of Codex's.
bool is_model(std::string_view name) {
  return !name.empty() && name != "inherit" && name != "sonnet" && name != "opus" && name != "haiku" &&
         !name.starts_with("claude");
}

class CodexProvider final : public AgentProvider {
 public:
  ProviderDescription describe(const Call& /*call*/) override {
    return {.display_name = "Codex",
            .program = "codex",
            .dockerfile = "Dockerfile",
            .state_paths = {"/home/agent/.codex/sessions", "/home/agent/.codex/history.jsonl"},
            .skills_dir = "/home/agent/.codex/skills",
            .config_strategies = {"fresh", "copy"}};
  }

  ProviderPlan plan(const Call& /*call*/, const ProviderSpec& spec) override {
    provider_config::need_a_prompt(spec, "Codex");
    ProviderPlan plan;
    // SQLite, which keeps Codex's threads, takes /var/tmp where its mode allows it; where a bottle may not write there
    // all the same (docker), no database is made and no session resumes. Guarded by tests/docker/codex_test.py.
    plan.env = {{"SQLITE_TMPDIR", "/tmp"}};
    add_login(plan, spec);
    add_configuration(plan, spec);
    plan.argv = {"codex", "--dangerously-bypass-approvals-and-sandbox"};
    if (is_model(spec.model)) plan.argv.insert(plan.argv.end(), {"--model", spec.model});
    plan.resume_argv = plan.argv;
    plan.headless_argv = plan.argv;
    // Codex itself starts a fresh session where there is none.
    plan.resume_argv.insert(plan.resume_argv.end(), {"resume", "--last"});
    plan.headless_argv.insert(plan.headless_argv.begin() + 1, "exec");
    plan.headless_argv.insert(plan.headless_argv.end(), {"--json", "--skip-git-repo-check"});
    if (spec.resume) plan.headless_argv.insert(plan.headless_argv.end(), {"resume", "--last"});
    for (Argv* argv : {&plan.argv, &plan.resume_argv, &plan.headless_argv})
      argv->insert(argv->end(), spec.args.begin(), spec.args.end());
    // The prompt goes over standard input: it may be longer than an argument may be.
    plan.headless_stdin = "prompt";
    if (spec.resume && !spec.headless_prompt.empty()) plan.headless_argv.emplace_back("-");
    plan.ui = {.title = provider_config::title_of(spec), .color = spec.color};
    return plan;
  }

  HostCredentials host_credentials(const Call& call, const ProviderSpec& spec, int secret_fd) override {
    const codex::HostLogin login = codex::fresh_host_login(codex::host_directory(spec.host_home), host(), call);
    HostCredentials out;
    if (login.kind == codex::HostLogin::Kind::api_key) {
      out.secrets = {{.name = login_key, .size = login.token.size()}};
    } else {
      out.expires_at = codex::to_rfc3339(login.expires_at);
      out.secrets = {{.name = chatgpt_token, .size = login.token.size()},
                     {.name = chatgpt_account, .size = login.account.size()}};
    }
    write_whole(secret_fd, login.token);
    write_whole(secret_fd, login.account);
    return out;
  }

 private:
  static void add_login(ProviderPlan& plan, const ProviderSpec& spec) {
    const auto file = [&](std::string content) {
      plan.files.push_back(
          {.path = spec.guest.home + "/.codex/auth.json", .mode = 0600, .content = std::move(content)});
    };
    const auto key = [&](const std::string& token_ref) {
      plan.egress_routes.push_back(
          make_route("api.openai.com", "/v1/", {{"scheme", "Bearer"}, {"token_ref", token_ref}}));
      plan.placeholders.push_back({.value = std::string(codex::placeholder), .token_ref = token_ref});
      file(codex::make_dummy_key_login());
    };
    if (spec.forward_host_credentials && !spec.auth_token_ref.empty())
      throw Error(Status::invalid_argument,
                  "agent_provider has both auth_token and forward_host_credentials: which account is meant?",
                  "take one of them out of the bottle");
    if (!spec.auth_token_ref.empty()) return key(spec.auth_token_ref);
    if (!spec.forward_host_credentials) {
      plan.egress_routes.push_back(make_route("api.openai.com", "/v1/", {}));
      return;
    }
    const std::string directory = codex::host_directory(spec.host_home);
    codex::refuse_in_workspace(directory, spec.host_workspace);
    const codex::HostLogin login = codex::read_host_login(directory);
    const bool is_below_home = directory.starts_with(spec.host_home + "/");
    const std::string shown =
        (is_below_home ? "~" + directory.substr(spec.host_home.size()) : directory) + "/auth.json, which stays outside";
    if (login.kind == codex::HostLogin::Kind::api_key) {
      plan.summary.push_back("works with the API key of " + shown);
      plan.host_secrets = {login_key};
      return key(login_key);
    }
    plan.host_secrets = {chatgpt_token, chatgpt_account};
    // The account is injected, so that the bottle does not hold whose it is and cannot name another.
    json::object auth{{"scheme", "Bearer"},
                      {"token_ref", chatgpt_token},
                      {"account", json::object{{"header", "chatgpt-account-id"}, {"token_ref", chatgpt_account}}}};
    // Codex brings the cookies of what stands before ChatGPT along; refused, no turn would come through. They are taken
    // off, as is any other credential there.
    plan.egress_routes.push_back(make_route("chatgpt.com", "/backend-api/codex/", std::move(auth), "strip"));
    // The second plan, made after the login was renewed, has the time that counts.
    std::int64_t expires_at = login.expires_at;
    if (spec.host_credentials) expires_at = codex::from_rfc3339(spec.host_credentials->expires_at);
    plan.summary.push_back(
        "works with your login of " + shown + "; it " +
        (codex::has_expired(login) ? "is over, and renewed at the start" : "ends " + codex::to_rfc3339(expires_at)));
    plan.placeholders.push_back({.value = codex::make_dummy_token(expires_at), .token_ref = chatgpt_token});
    file(codex::make_dummy_login(expires_at));
  }

  /// Onboarding, trust and sandbox questions answered, so that the first screen is the prompt.
  static void add_configuration(ProviderPlan& plan, const ProviderSpec& spec) {
    provider_config::Copied copied;
    if (spec.config == "copy")
      copied = codex::copy_config({.host_home = spec.host_home,
                                   .host_workspace = spec.host_workspace,
                                   .guest_home = spec.guest.home,
                                   .guest_workspace = spec.guest.workspace},
                                  codex::host_directory(spec.host_home));
    plan.summary.insert(plan.summary.end(), copied.summary.begin(), copied.summary.end());
    plan.warnings = std::move(copied.warnings);
    const std::string directory = spec.guest.home + "/.codex/";
    std::string instructions = spec.prompt;
    for (GuestFile& file : copied.files) {
      if (file.path == directory + "AGENTS.md")
        instructions = file.content + (instructions.empty() ? "" : "\n\n" + instructions);
      else if (!spec.resume)  // a resumed bottle has them, as the agent left them
        plan.files.push_back(std::move(file));
    }
    if (!instructions.empty())
      plan.files.push_back({.path = directory + "AGENTS.md", .mode = 0600, .content = instructions});
    if (spec.resume) return;  // what the program wrote itself stays
    plan.files.push_back({.path = directory + "config.toml",
                          .mode = 0600,
                          .content = codex::to_toml(configuration(spec, std::move(copied)))});
  }

  static json::object configuration(const ProviderSpec& spec, provider_config::Copied copied) {
    json::object config = std::move(copied.settings);
    config["check_for_update_on_startup"] = false;
    config["cli_auth_credentials_store"] = "file";
    config["analytics"] = json::object{{"enabled", false}};
    config["feedback"] = json::object{{"enabled", false}};
    json::object& features = below(config, "features");
    for (const std::string_view name : features_off) features[name] = false;
    // Codex's status line takes names of facts, no text of ours. The title of the terminal has label and agent: left as
    // it is.
    json::object& tui = below(config, "tui");
    tui["terminal_title"] = json::array();
    if (!tui.contains("status_line"))
      tui["status_line"] = json::array{"model-with-reasoning", "current-dir", "run-state"};
    tui["screen_reader_detection_done"] = true;
    below(config, "notice")["hide_full_access_warning"] = true;
    config["projects"] = json::object{{spec.guest.workspace, json::object{{"trust_level", "trusted"}}}};
    json::object servers = std::move(copied.mcp_servers);
    // An answer of the operator's may take a day.
    if (spec.supervise)
      servers["supervise"] = json::object{{"url", "http://supervise:9100/mcp"}, {"tool_timeout_sec", 86400}};
    if (!servers.empty()) config["mcp_servers"] = std::move(servers);
    return config;
  }

  static json::object& below(json::object& object, std::string_view key) {
    json::value& value = object[key];
    if (!value.is_object()) value = json::object();
    return value.get_object();
  }
};

}  // namespace

BOT_BOTTLE_PLUGIN("provider-codex", "0.1.0", "Codex", CodexProvider)
