// What provider-codex takes from the host's configuration: by its parts. The search for credentials, links and sizes:
// claude_config_test.cpp, it is the same. The whole of it with the real program: acceptance/codex_config_test.py.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "core/base/random.hpp"
#include "plugins/provider-codex/copy_config.hpp"
#include "plugins/provider-codex/toml_text.hpp"

namespace bot_bottle::provider_codex {
namespace {

namespace fs = std::filesystem;
namespace json = sdk::json;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

class CodexConfig : public testing::Test {
 protected:
  CodexConfig() { fs::create_directories(home_ / ".codex"); }
  ~CodexConfig() override { fs::remove_all(home_); }
  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((home_ / path).parent_path());
    std::ofstream(home_ / path) << text;
  }
  [[nodiscard]] provider_config::Copied copy() const {
    return copy_config({.host_home = home_.string(),
                        .host_workspace = (home_ / "app").string(),
                        .guest_home = "/home/agent",
                        .guest_workspace = "/workspace"},
                       (home_ / ".codex").string());
  }
  fs::path home_ = fs::temp_directory_path() / ("bb-codexcfg-" + random_base36(10));
};

TEST_F(CodexConfig, what_is_a_matter_of_taste_comes_over_and_the_rest_is_named) {
  write(".codex/config.toml",
        "model = \"gpt-x\"\nnotify = [\"/usr/bin/tell\"]\nmodel_provider = \"mine\"\n"
        "sandbox_mode = \"read-only\"\nexperimental_bearer_token = \"sk-proj-0123456789abcdef\"\n"
        "[tui]\ntheme = \"dark\"\nnotifications = [\"x\"]\n"
        "[model_providers.mine]\nbase_url = \"https://me:pw@example.com\"\n");
  const provider_config::Copied config = copy();
  EXPECT_EQ(json::serialize(config.settings), R"({"model":"gpt-x","tui":{"theme":"dark"}})");
  for (const char* name : {"notify", "model_provider", "model_providers", "experimental_bearer_token"})
    EXPECT_THAT(config.warnings, Contains(HasSubstr(std::string(name) + " is left out")));
  EXPECT_THAT(config.warnings, Not(Contains(HasSubstr("sandbox_mode")))) << "the bottle's own";
  EXPECT_THAT(config.warnings, Not(Contains(HasSubstr("sk-proj"))));
}

TEST_F(CodexConfig, a_servers_credentials_stay_outside_and_are_named) {
  write(".codex/config.toml",
        "[mcp_servers.web]\nurl = \"https://mcp.example.com/mcp\"\nbearer_token_env_var = \"WEB\"\n"
        "http_headers = { \"X-Team\" = \"blue\", Accept = \"text/plain\" }\n"
        "env_http_headers = { Authorization = \"WEB_AUTH\" }\n"
        "[mcp_servers.files]\ncommand = \"" +
            (home_ / "bin/server").string() +
            "\"\nargs = [\"--token\", \"hunter2\"]\n"
            "[mcp_servers.files.env]\nAPI_KEY = \"hunter2\"\nMODE = \"fast\"\n"
            "[mcp_servers.supervise]\nurl = \"https://evil.example.com\"\n");
  const provider_config::Copied config = copy();
  EXPECT_EQ(json::serialize(config.mcp_servers.at("web")),
            R"({"http_headers":{"Accept":"text/plain"},"url":"https://mcp.example.com/mcp"})");
  EXPECT_EQ(config.mcp_servers.at("files").at("command"), "/home/agent/bin/server");
  EXPECT_FALSE(config.mcp_servers.contains("supervise"));
  EXPECT_THAT(json::serialize(config.mcp_servers), Not(HasSubstr("hunter2")));
  for (const char* told : {"mcp_servers.web: bearer_token_env_var", "mcp_servers.web: http_headers.X-Team",
                           "mcp_servers.web: env_http_headers", "mcp_servers.files: env.API_KEY",
                           "mcp_servers.files: args[1]", "which is not in the bottle", "a server of that name"})
    EXPECT_THAT(config.warnings, Contains(HasSubstr(told)));
}

TEST_F(CodexConfig, the_login_the_history_and_codexs_own_skills_stay_outside) {
  write(".codex/auth.json", "{}");
  write(".codex/history.jsonl", "{}");
  write(".codex/sessions/2026/a.jsonl", "{}");
  write(".codex/skills/.system/x/SKILL.md", "x");
  write(".codex/skills/review/SKILL.md", "x");
  write(".codex/AGENTS.md", "Use tabs.\n");
  std::vector<std::string> paths;
  for (const sdk::GuestFile& file : copy().files) paths.push_back(file.path);
  EXPECT_THAT(paths, testing::UnorderedElementsAre("/home/agent/.codex/AGENTS.md",
                                                   "/home/agent/.codex/skills/review/SKILL.md"));
}

TEST_F(CodexConfig, what_is_no_toml_is_an_error_that_names_the_line_and_quotes_nothing) {
  write(".codex/config.toml", "model = \"x\"\ntoken = sk-proj-0123456789abcdef\n");
  try {
    static_cast<void>(copy());
    FAIL() << "accepted";
  } catch (const sdk::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(".codex/config.toml: line 2 is no TOML"));
    EXPECT_THAT(error.what(), Not(HasSubstr("sk-proj")));
    EXPECT_THAT(error.hint, HasSubstr("config: fresh"));
  }
}

TEST(CodexToml, what_goes_in_comes_out) {
  const json::object document{{"a", "quo\"te\n\x7f\\"},
                              {"b", json::array{1, "x", json::object{{"c", true}}}},
                              {"projects", json::object{{"/work space/x.y", json::object{{"d", 1.5}}}}}};
  std::string reason;
  EXPECT_EQ(json::serialize(*parse_toml(to_toml(document), reason)), json::serialize(document));
  EXPECT_TRUE(parse_toml("when = 2026-01-01\n", reason)->empty());
}

}  // namespace
}  // namespace bot_bottle::provider_codex
