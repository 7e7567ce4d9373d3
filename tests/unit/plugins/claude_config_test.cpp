// What provider-claude takes from the host's configuration: by its parts, on trees that are hostile or only unlucky.
// The whole of it with the real program: acceptance/claude_config_test.py.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/base/random.hpp"
#include "plugins/provider-claude/copy_config.hpp"
#include "plugins/provider-config/credentials.hpp"
#include "plugins/provider-config/servers.hpp"

namespace bot_bottle::provider_claude {
namespace {

namespace fs = std::filesystem;
namespace json = sdk::json;
using namespace provider_config;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class ClaudeConfig : public testing::Test {
 protected:
  ClaudeConfig() { fs::create_directories(home_ / ".claude"); }
  ~ClaudeConfig() override { fs::remove_all(home_); }
  void write(const std::string& path, const std::string& text) {
    fs::create_directories((home_ / path).parent_path());
    std::ofstream(home_ / path) << text;
  }
  CopiedConfig copy() {
    return copy_config({.host_home = home_.string(),
                        .host_workspace = (home_ / "app").string(),
                        .guest_home = "/home/agent",
                        .guest_workspace = "/workspace"});
  }
  static std::vector<std::string> paths(const CopiedConfig& config) {
    std::vector<std::string> out;
    for (const sdk::GuestFile& file : config.files) out.push_back(file.path);
    return out;
  }
  fs::path home_ = fs::temp_directory_path() / ("bb-claude-" + random_base36(10));
};

TEST(ClaudeCredentials, names_and_values_that_are_credentials_are_known) {
  for (const char* name : {"GITHUB_TOKEN", "apiKey", "--api-key", "password", "DB_PASS", "Authorization", "X-Auth",
                           "client_secret", "aws_access_key_id", "cookie", "SSH_PRIVATE_KEY", "OAUTH"})
    EXPECT_TRUE(is_credential_name(name)) << name;
  for (const char* name : {"EDITOR", "PATH", "PWD", "theme", "model", "LANG", "MODE", "command", "author"})
    EXPECT_FALSE(is_credential_name(name)) << name;
  for (const char* value : {"sk-ant-api03-abcdefgh12", "ghp_0123456789abcdef0123", "Bearer abcdef12345",
                            "https://me:pw@example.com/", "https://example.com/x?api_key=1",
                            "eyJhbGciOiJIUzI1NiIsInR5cCI6.eyJzdWIiOiIx", "-----BEGIN OPENSSH PRIVATE KEY-----",
                            "9f86d081884c7d659a2feaa0c55ad015", "Zx9_kQ-2mPa7Lw0_rTb4-YcVd", "AKIAABCDEFGHIJKLMNOP"})
    EXPECT_TRUE(is_credential_value(value)) << value;
  for (const char* value : {"mcp__server2__create_issue_comment", "Bash(npm run test:*)", "claude-opus-4-20250514",
                            "@modelcontextprotocol/server-github", "https://mcp.example.com/mcp?team=blue",
                            "/home/agent/.claude/skills/review/tool.sh", "8080", "en_US.UTF-8"})
    EXPECT_FALSE(is_credential_value(value)) << value;
  EXPECT_FALSE(holds_credential("commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b fixed it\n"));
  EXPECT_TRUE(holds_credential("export DEPLOY_TOKEN=9f86d081884c7d659a2feaa0c55ad015\n"));
}

TEST(ClaudeCredentials, assignments_are_found_wherever_they_stand_in_a_text) {
  for (const std::string_view text :
       {"api_key = \"q8Zr2LmT4vXw9KpB7cNd\"\n", "{\"api_key\" : \"q8Zr2LmT4vXw9KpB7cNd\"}\n",
        "token := q8Zr2LmT4vXw9KpB7cNd\n", "env: API_KEY=q8Zr2LmT4vXw9KpB7cNd\n", "Run DB_PASSWORD=hunter2 make\n",
        "curl -u user:pass https://example.com\n"})
    EXPECT_TRUE(holds_credential(text)) << text;
  for (const std::string_view text : {"Token: see below\n", "Set API_KEY=$KEY first\n", "password is asked for\n"})
    EXPECT_FALSE(holds_credential(text)) << text;
  for (const std::string_view name : {"ANTHROPIC_CUSTOM_HEADERS", "GITHUB_PAT", "SENTRY_DSN", "CONNECTION_STRING"})
    EXPECT_TRUE(is_credential_name(name)) << name;
  EXPECT_TRUE(is_credential_value("curl -u deploy:hunter2 https://example.com"));
  EXPECT_TRUE(is_credential_value("https://mcp.example.com/9f86d081-884c-4d65-9a2f-eaa0c55ad015/sse"));
  for (const std::string_view name : {".env", "token.txt", "server.key", "auth.json", ".credentials.json"})
    EXPECT_TRUE(is_credential_file(name)) << name;
  for (const std::string_view name : {".env.example", "key.md", "SKILL.md"})
    EXPECT_FALSE(is_credential_file(name)) << name;
}

TEST(ClaudeCredentials, a_lists_elements_keep_their_places_and_a_flags_value_goes) {
  json::array args{"--token", "hunter2",         "--port",       "8080", "--secret=hunter2",
                   "-e",      "API_KEY=hunter2", "--max-tokens", "4096"};
  std::vector<std::string> dropped;
  scrub(args, "args", dropped);
  EXPECT_EQ(json::serialize(args),
            R"(["--token","removed-by-bot-bottle","--port","8080","--secret=removed-by-bot-bottle","-e",)"
            R"("removed-by-bot-bottle","--max-tokens","4096"])");
  EXPECT_THAT(dropped, testing::ElementsAre("args[1]", "args[4]", "args[6]"));
}

TEST(ClaudeCredentials, of_a_servers_headers_only_the_plain_ones_stay) {
  json::object server{{"url", "https://mcp.example.com"},
                      {"headers", {{"X-Team", "blue"}, {"Accept", "text/plain"}}},
                      {"oauth", json::object{{"clientId", "x"}}}};
  std::vector<std::string> dropped;
  scrub_server(server, "", dropped);
  EXPECT_EQ(json::serialize(server), R"({"url":"https://mcp.example.com","headers":{"Accept":"text/plain"}})");
}

TEST(ClaudeCredentials, a_path_moves_as_a_whole_or_not_at_all) {
  EXPECT_EQ(with_path("/home/me/x:/home/meg/x /home/me", "/home/me", "/g"), "/g/x:/home/meg/x /g");
  EXPECT_EQ(with_path("/srv/home/me/x", "/home/me", "/g"), "/srv/home/me/x");
}

TEST_F(ClaudeConfig, nothing_is_read_through_a_link) {
  write("private/secret.md", "private\n");
  fs::create_directories(home_ / ".claude/agents");
  fs::create_symlink(home_ / "private/secret.md", home_ / ".claude/agents/a.md");
  fs::create_symlink(home_ / "private", home_ / ".claude/skills");
  fs::create_symlink("../private/secret.md", home_ / ".claude/CLAUDE.md");
  ASSERT_EQ(::mkfifo((home_ / ".claude/agents/pipe.md").c_str(), 0600), 0);
  const CopiedConfig config = copy();
  EXPECT_THAT(config.files, IsEmpty());
  EXPECT_THAT(config.warnings, Contains(HasSubstr("agents/a.md is a link")));
  EXPECT_THAT(config.warnings, Contains(HasSubstr("agents/pipe.md is a link or no file")));
  EXPECT_THAT(config.warnings, Contains(HasSubstr("CLAUDE.md is a link")));
}

TEST_F(ClaudeConfig, sizes_are_bounded_and_a_skill_is_whole_or_absent) {
  write(".claude/agents/large.md", std::string(300 << 10, 'x'));
  for (int i = 0; i < 6; ++i) write(".claude/skills/big/" + std::to_string(i) + ".md", std::string(200 << 10, 'y'));
  write(".claude/skills/small/SKILL.md", "small\n");
  write(".claude/skills/small/logo.png", std::string("\x89PNG\0\xff", 6));
  const CopiedConfig config = copy();
  EXPECT_THAT(paths(config), testing::ElementsAre("/home/agent/.claude/skills/small/SKILL.md"));
  EXPECT_THAT(config.warnings, Contains(HasSubstr("agents/large.md is too large")));
  EXPECT_THAT(config.warnings, Contains(HasSubstr("skills/big is left out")));
  EXPECT_THAT(config.warnings, Contains(HasSubstr("logo.png is not text")));
}

TEST_F(ClaudeConfig, a_plugin_cannot_come_from_outside_of_the_directory) {
  write("outside/x.md", "outside\n");
  write(".claude/settings.json", R"({"enabledPlugins": {"p@m": true, "q@m": true, "..@m": true}})");
  write(".claude/plugins/installed_plugins.json",
        R"({"plugins": {"p@m": [{"installPath": ")" + (home_ / "outside").string() +
            R"("}], "q@m": [{"installPath": ")" + (home_ / ".claude/plugins/../../outside").string() +
            R"("}], "..@m": [{"installPath": ")" + (home_ / ".claude/plugins").string() + R"("}]}})");
  const CopiedConfig config = copy();
  EXPECT_THAT(config.files, IsEmpty());
  EXPECT_FALSE(config.settings.contains("enabledPlugins"));
}

TEST_F(ClaudeConfig, a_hook_that_lost_its_command_goes_because_the_program_refuses_the_whole_file_for_it) {
  write(
      ".claude/settings.json",
      R"({"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "curl -H 'Authorization: Bearer abcdefgh12345678'"},
                                    {"type": "command", "command": "true"}]}]}})");
  EXPECT_EQ(json::serialize(copy().settings),
            R"({"hooks":{"Stop":[{"hooks":[{"type":"command","command":"true"}]}]}})");
}

TEST_F(ClaudeConfig, what_is_not_json_is_an_error_that_names_the_file) {
  for (const std::string& text :
       {std::string("{"), std::string("[]"), std::string(100'000, '['), std::string("{\"a\": NaN}")}) {
    write(".claude/settings.json", text);
    try {
      copy();
      FAIL() << text.substr(0, 10);
    } catch (const sdk::Error& error) {
      EXPECT_THAT(error.message, HasSubstr("~/.claude/settings.json is not a JSON object"));
      EXPECT_THAT(error.hint, HasSubstr("config: fresh"));
    }
  }
}

TEST_F(ClaudeConfig, a_file_with_a_token_in_its_text_stays_outside) {
  write(".claude/agents/leaky.md", "Use ghp_0123456789abcdef0123 for the API.\n");
  write(".claude/agents/fine.md", "Use the API.\n");
  const CopiedConfig config = copy();
  EXPECT_THAT(paths(config), testing::ElementsAre("/home/agent/.claude/agents/fine.md"));
  EXPECT_THAT(config.warnings, Contains(HasSubstr("agents/leaky.md holds what looks like a credential")));
}

TEST_F(ClaudeConfig, files_that_are_a_credential_stay_outside_and_lists_are_looked_through) {
  write(".claude/skills/s/SKILL.md", "Use it.\n");
  write(".claude/skills/s/.env", "A=1\n");
  write(".claude/skills/s/server.key", "x\n");
  write(".claude/skills/s/list.json", R"([{"password": "12345678", "name": "kept"}])");
  const CopiedConfig config = copy();
  EXPECT_THAT(paths(config), testing::UnorderedElementsAre("/home/agent/.claude/skills/s/SKILL.md",
                                                           "/home/agent/.claude/skills/s/list.json"));
  for (const sdk::GuestFile& file : config.files) EXPECT_THAT(file.content, Not(HasSubstr("12345678"))) << file.path;
  EXPECT_THAT(config.warnings, Contains(HasSubstr(".env is where credentials are kept")));
}

TEST(ClaudeCredentials, a_header_given_as_an_argument_goes) {
  json::array list{"--header", "X-Team: blue", "--env=API_KEY=abcd"};
  std::vector<std::string> dropped;
  scrub(list, "args", dropped);
  EXPECT_THAT(json::serialize(list), Not(HasSubstr("blue")));
  EXPECT_THAT(json::serialize(list), Not(HasSubstr("abcd")));
}

TEST_F(ClaudeConfig, no_value_is_in_a_warning) {
  write(
      ".claude.json",
      R"({"mcpServers": {"ghp_0123456789abcdef0123": {"command": "x"}, "a": {"command": "x", "env": {"ghp_0123456789abcdef0123": "1"}}}})");
  const CopiedConfig config = copy();
  EXPECT_THAT(config.warnings, Not(Contains(HasSubstr("0123456789abcdef"))));
  EXPECT_THAT(json::serialize(config.mcp_servers), Not(HasSubstr("0123456789abcdef")));
}

}  // namespace
}  // namespace bot_bottle::provider_claude
