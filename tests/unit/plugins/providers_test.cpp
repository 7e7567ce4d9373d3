// The built-in providers, through the registry: what they declare is what the core will apply.
#include <filesystem>

#include "core/base/random.hpp"
#include "core/plugins/registry.hpp"
#include "core/policy/egress.hpp"

namespace bot_bottle {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Providers : public testing::Test {
 protected:
  Providers() {
    std::filesystem::create_directories(home_);
    plugins::HostOptions options;
    options.home = Home{home_};
    options.installation.plugins = std::filesystem::path(BB_BUILD_DIR) / "lib/bot-bottle/plugins";
    options.installation.libexec = std::filesystem::path(BB_BUILD_DIR) / "libexec/bot-bottle";
    options.installation.share = std::filesystem::path(BB_BUILD_DIR) / "share/bot-bottle";
    registry_.emplace(std::move(options));
  }
  ~Providers() override { std::filesystem::remove_all(home_); }

  static json::object spec() {
    return {{"schema", "bot-bottle.provider-spec/1"},
            {"agent", "coder"},
            {"slug", "coder-1"},
            {"label", ""},
            {"color", ""},
            {"prompt", "Be careful."},
            {"headless", false},
            {"auth_token_ref", ""},
            {"guest", {{"home", "/home/agent"}, {"user", "agent"}, {"workspace", "/workspace"}}}};
  }

  std::filesystem::path home_ = std::filesystem::temp_directory_path() / ("bb-providers-" + random_base36(10));
  std::optional<plugins::Registry> registry_;
};

TEST_F(Providers, claude_gets_a_placeholder_and_its_host_a_bound_route) {
  json::object document = spec();
  document["auth_token_ref"] = "OAUTH_TOKEN";
  const json::object plan = registry_->provider("claude").plan(document);
  EXPECT_EQ(plan.at("env").at("CLAUDE_CODE_OAUTH_TOKEN"), "egress-placeholder");
  const policy::ParsedEgress route = policy::parse_route(plan.at("egress_routes").at(0), "egress_routes[0]");
  ASSERT_TRUE(route.problems.empty()) << route.problems[0].path << ": " << route.problems[0].message;
  ASSERT_EQ(route.egress.routes.size(), 1U);
  EXPECT_EQ(route.egress.routes[0].host, "api.anthropic.com");
  ASSERT_TRUE(route.egress.routes[0].auth);
  EXPECT_EQ(route.egress.routes[0].auth->token_ref, "OAUTH_TOKEN");
  EXPECT_EQ(route.egress.routes[0].foreign_credentials, policy::ForeignCredentials::refuse);
}

TEST_F(Providers, claude_without_a_token_injects_nothing_and_pretends_nothing) {
  const json::object plan = registry_->provider("claude").plan(spec());
  EXPECT_FALSE(plan.at("env").as_object().contains("CLAUDE_CODE_OAUTH_TOKEN"));
  EXPECT_FALSE(plan.at("egress_routes").at(0).as_object().contains("auth"));
}

TEST_F(Providers, claude_headless_takes_its_prompt_on_standard_input_and_answers_json) {
  json::object document = spec();
  document["headless"] = true;
  document["headless_prompt"] = "hello";
  const json::object plan = registry_->provider("claude").plan(document);
  const std::vector<std::string> argv = get_strings(plan, "headless_argv");
  EXPECT_THAT(argv, testing::Contains("--print"));
  EXPECT_THAT(argv, testing::Not(testing::Contains(HasSubstr("hello"))));
  EXPECT_EQ(plan.at("headless_stdin"), "prompt");
  EXPECT_THAT(get_strings(plan, "resume_argv"), testing::Contains("--continue"));
}

TEST_F(Providers, claude_without_a_prompt_and_a_terminal_is_refused_before_anything_is_made) {
  json::object document = spec();
  document["headless"] = true;
  try {
    registry_->provider("claude").plan(document);
    FAIL() << "accepted";
  } catch (const Failure& failure) {
    EXPECT_THAT(failure.error().hint, HasSubstr("bot-bottle run coder -p"));
  }
  document["args"] = json::array{"--version"};
  EXPECT_NO_THROW(registry_->provider("claude").plan(document));
}

TEST_F(Providers, a_hostile_label_cannot_leave_claudes_status_line) {
  json::object document = spec();
  document["label"] = "x'; touch /tmp/owned; '";
  const json::object plan = registry_->provider("claude").plan(document);
  for (const json::value& file : plan.at("files").as_array()) {
    if (file.at("path") != "/home/agent/.claude/settings.json") continue;
    const json::object settings = *parse_json_object(std::string_view(file.at("content").as_string()));
    EXPECT_EQ(settings.at("statusLine").at("command"),
              "printf %s 'x'\\''; touch /tmp/owned; '\\'' (coder) in coder-1'");
    return;
  }
  FAIL() << "no settings.json";
}

TEST_F(Providers, command_runs_the_manifests_argv_with_the_operators_arguments) {
  json::object document = spec();
  document["command"] = json::array{"python3", "agent.py"};
  document["args"] = json::array{"--fast"};
  document["headless"] = true;
  document["headless_prompt"] = "go";
  const json::object plan = registry_->provider("command").plan(document);
  EXPECT_THAT(get_strings(plan, "argv"), ElementsAre("python3", "agent.py", "--fast"));
  EXPECT_EQ(plan.at("env").at("BOT_BOTTLE_PROMPT"), "go");
}

TEST_F(Providers, command_without_a_program_says_which_key_to_set) {
  try {
    registry_->provider("command").plan(spec());
    FAIL() << "accepted";
  } catch (const Failure& failure) {
    EXPECT_THAT(failure.error().hint, HasSubstr("agent_provider.command"));
  }
}

}  // namespace
}  // namespace bot_bottle
