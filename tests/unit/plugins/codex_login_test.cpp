// The operator's login of Codex, as provider-codex reads it: whole, hostile, over. And what the guest has instead.
// With the real program: acceptance/codex_test.py.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bot_bottle/sdk/fake_host.hpp>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "core/base/random.hpp"
#include "core/base/text.hpp"
#include "plugins/provider-codex/dummy_login.hpp"
#include "plugins/provider-codex/host_login.hpp"

namespace bot_bottle::provider_codex {
namespace {

namespace fs = std::filesystem;
namespace json = sdk::json;
using testing::HasSubstr;
using testing::Not;

constexpr const char* secret_tail = "c2lnbmF0dXJl-of-the-real-one";

std::string url64(const std::string& text) {
  std::string out = base64_encode(text);
  for (char& c : out) c = c == '+' ? '-' : c == '/' ? '_' : c;
  while (out.ends_with('=')) out.pop_back();
  return out;
}

std::string real_token(std::int64_t expires_at) {
  return url64(R"({"alg":"RS256"})") + "." +
         url64(R"({"exp":)" + std::to_string(expires_at) + R"(,"email":"me@example.com"})") + "." + secret_tail;
}

class CodexLogin : public testing::Test {
 protected:
  CodexLogin() { fs::create_directories(home_); }
  ~CodexLogin() override { fs::remove_all(home_); }

  void write(const std::string& text) const {
    fs::remove(file());
    std::ofstream(file()) << text;
    fs::permissions(file(), fs::perms{0600});
  }
  void write_tokens(const std::string& access, const std::string& more = R"("account_id":"acc-0123-4567")") const {
    write(R"({"auth_mode":"chatgpt","OPENAI_API_KEY":null,"tokens":{"id_token":"x.e30.y","access_token":")" + access +
          R"(","refresh_token":"rt_secret_refresh_token")" + (more.empty() ? "" : "," + more) + "}}");
  }
  [[nodiscard]] fs::path file() const { return home_ / "auth.json"; }
  [[nodiscard]] std::string refusal() const {
    try {
      static_cast<void>(read_host_login(home_.string()));
    } catch (const sdk::Error& error) {
      const std::string all = std::string(error.what()) + error.hint;
      EXPECT_THAT(all, Not(HasSubstr(secret_tail)));
      EXPECT_THAT(all, Not(HasSubstr("rt_secret")));
      EXPECT_THAT(all, HasSubstr("auth.json"));
      EXPECT_THAT(all, HasSubstr("codex login"));
      return error.what();
    }
    return "accepted";
  }

  fs::path home_ = fs::temp_directory_path() / ("bb-codex-" + random_base36(10));
  const std::int64_t later_ = std::time(nullptr) + 864'000;
};

TEST_F(CodexLogin, of_chatgpts_login_token_account_and_end_are_taken) {
  write_tokens(real_token(later_));
  const HostLogin login = read_host_login(home_.string());
  EXPECT_EQ(login.kind, HostLogin::Kind::chatgpt);
  EXPECT_EQ(login.token, real_token(later_));
  EXPECT_EQ(login.account, "acc-0123-4567");
  EXPECT_EQ(login.expires_at, later_);
  EXPECT_FALSE(has_expired(login));
}

TEST_F(CodexLogin, the_account_may_stand_in_the_identity_token_alone) {
  const std::string identity =
      "x." + url64(R"({"https://api.openai.com/auth":{"chatgpt_account_id":"acc-in-identity"}})") + ".y";
  write(R"({"tokens":{"id_token":")" + identity + R"(","access_token":")" + real_token(later_) + R"("}})");
  EXPECT_EQ(read_host_login(home_.string()).account, "acc-in-identity");
}

TEST_F(CodexLogin, an_api_key_is_a_login_too) {
  write(R"({"OPENAI_API_KEY":"sk-proj-0123456789abcdef"})");
  const HostLogin login = read_host_login(home_.string());
  EXPECT_EQ(login.kind, HostLogin::Kind::api_key);
  EXPECT_EQ(login.token, "sk-proj-0123456789abcdef");
  EXPECT_FALSE(has_expired(login));
}

TEST_F(CodexLogin, one_that_is_not_there_or_is_none_is_refused_by_name) {
  EXPECT_THAT(refusal(), HasSubstr("no login of Codex in " + file().string()));
  for (const std::string& text : {std::string("{\"tokens\": "), std::string("[]"), std::string(1000, '[')}) {
    write(text);
    EXPECT_THAT(refusal(), HasSubstr("is not a JSON object")) << text;
  }
  write(std::string(70'000, ' '));
  EXPECT_THAT(refusal(), HasSubstr("is too large"));
  write(std::string("{}\0", 3));
  EXPECT_THAT(refusal(), HasSubstr("is not text"));
  write("{}");
  EXPECT_THAT(refusal(), HasSubstr("holds no tokens"));
  write(R"({"auth_mode":"agentIdentity","tokens":{}})");
  EXPECT_THAT(refusal(), HasSubstr("of a kind that cannot be forwarded"));
  write(R"({"auth_mode":"apikey"})");
  EXPECT_THAT(refusal(), HasSubstr("holds no API key"));
  write(R"({"auth_mode":7})");
  EXPECT_THAT(refusal(), HasSubstr("auth_mode"));
}

TEST_F(CodexLogin, a_token_that_is_none_is_refused_and_never_repeated) {
  const std::string rest = std::string(".") + secret_tail;
  for (const std::string& token :
       {std::string("short"), "not-a-jwt-but-long-enough-" + std::string(secret_tail), "x.e30" + rest + "-and-longer",
        "x." + url64(R"({"exp":"tomorrow"})") + rest, "x." + url64(R"({"exp":-5})") + rest,
        "x." + url64(R"({"exp":999999999999999})") + rest, "x.!!!" + rest + "-and-longer"}) {
    write_tokens(token);
    EXPECT_THAT(refusal(), testing::AnyOf(HasSubstr("does not say when it ends"), HasSubstr("cannot be one"))) << token;
  }
  // A header of its own would follow the token's.
  write_tokens(real_token(later_) + R"(\r\nx-evil: 1)");
  EXPECT_THAT(refusal(), HasSubstr("access_token that cannot be one"));
  write_tokens(real_token(later_), R"("account_id":"acc\r\nx-evil: 1")");
  EXPECT_THAT(refusal(), HasSubstr("account_id that cannot be one"));
  write_tokens(real_token(later_), R"("account_id":["acc-0123-4567"])");
  EXPECT_THAT(refusal(), HasSubstr("no text as account_id"));
}

TEST_F(CodexLogin, a_link_a_pipe_and_a_file_that_others_write_are_refused) {
  write_tokens(real_token(later_));
  fs::rename(file(), home_ / "elsewhere.json");
  fs::create_symlink("elsewhere.json", file());
  EXPECT_THAT(refusal(), HasSubstr("is a link or no file"));
  fs::remove(file());
  ASSERT_EQ(::mkfifo(file().c_str(), 0600), 0);
  EXPECT_THAT(refusal(), HasSubstr("is a link or no file"));
  fs::remove(file());
  fs::rename(home_ / "elsewhere.json", file());
  fs::permissions(file(), fs::perms{0666});
  EXPECT_THAT(refusal(), HasSubstr("can be written by others"));
  fs::permissions(file(), fs::perms{0600});
  EXPECT_EQ(refusal(), "accepted");
  if (::geteuid() != 0) return;  // only root can give a file away
  ASSERT_EQ(::chown(file().c_str(), 65533, 65533), 0);
  EXPECT_THAT(refusal(), HasSubstr("belongs to somebody else"));
}

TEST_F(CodexLogin, one_that_is_over_is_renewed_by_the_hosts_own_program) {
  write_tokens(real_token(1'700'000'000));
  sdk::FakeHost host;
  std::vector<sdk::ProcessRequest> ran;
  host.on_run = [&](const sdk::ProcessRequest& request) {
    ran.push_back(request);
    write_tokens(real_token(later_));
    return sdk::ProcessResult{};
  };
  EXPECT_EQ(fresh_host_login(home_.string(), host.host(), host.call()).expires_at, later_);
  ASSERT_EQ(ran.size(), 1U);
  EXPECT_THAT(ran[0].argv, testing::ElementsAre("codex", "app-server"));
  EXPECT_EQ(ran[0].cwd, "/");
  EXPECT_EQ(fresh_host_login(home_.string(), host.host(), host.call()).expires_at, later_);
  EXPECT_EQ(ran.size(), 1U) << "one that is not over is not renewed";
  EXPECT_TRUE(host.violations.empty());
}

TEST_F(CodexLogin, one_that_is_over_still_is_refused) {
  write_tokens(real_token(std::time(nullptr) + 10));  // it would be over before the bottle runs
  sdk::FakeHost host;
  host.on_run = [](const sdk::ProcessRequest&) { return sdk::ProcessResult{.code = 1, .out = {}, .err = "no"}; };
  try {
    static_cast<void>(fresh_host_login(home_.string(), host.host(), host.call()));
    FAIL() << "accepted";
  } catch (const sdk::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("has expired, and `codex` could not renew it"));
    EXPECT_THAT(error.hint, HasSubstr("codex login"));
  }
  host.on_run = [](const sdk::ProcessRequest&) -> sdk::ProcessResult {
    throw sdk::Error(sdk::Status::not_found, "no such program");
  };
  try {
    static_cast<void>(fresh_host_login(home_.string(), host.host(), host.call()));
    FAIL() << "accepted";
  } catch (const sdk::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("no `codex` on your PATH"));
  }
}

TEST(CodexDummy, it_says_when_it_ends_and_nothing_else) {
  const std::string token = make_dummy_token(1'900'000'000);
  EXPECT_EQ(token,
            url64(R"({"alg":"none","typ":"JWT"})") + "." + url64(R"({"exp":1900000000})") + "." + url64("unsigned"));
  const json::object login = json::parse(make_dummy_login(1'900'000'000)).as_object();
  EXPECT_EQ(login.at("tokens").as_object(),
            (json::object{{"id_token", token}, {"access_token", token}, {"refresh_token", "egress-placeholder"}}));
  EXPECT_EQ(login.at("OPENAI_API_KEY"), nullptr);
  EXPECT_EQ(login.at("last_refresh"), "2030-03-17T17:46:40Z");
  EXPECT_EQ(login.size(), 4U);
  EXPECT_EQ(from_rfc3339("2030-03-17T17:46:40Z"), 1'900'000'000);
  EXPECT_EQ(from_rfc3339("tomorrow"), -1);
}

TEST(CodexHome, it_is_the_variables_when_that_is_absolute) {
  ::unsetenv("CODEX_HOME");
  EXPECT_EQ(host_directory("/home/me"), "/home/me/.codex");
  ::setenv("CODEX_HOME", "/srv/codex", 1);
  EXPECT_EQ(host_directory("/home/me"), "/srv/codex");
  ::setenv("CODEX_HOME", "codex", 1);
  EXPECT_THROW(static_cast<void>(host_directory("/home/me")), sdk::Error);
  ::unsetenv("CODEX_HOME");
}

}  // namespace
}  // namespace bot_bottle::provider_codex
