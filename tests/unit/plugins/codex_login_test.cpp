// The operator's login of Codex, as provider-codex reads it: whole, hostile, over. And what the guest has instead.
// With the real program: acceptance/codex_test.py.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bot_bottle/sdk/fake_host.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <thread>

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
    write(
        R"({"auth_mode":"chatgpt","OPENAI_API_KEY":null,"tokens":{"id_token":"x.e30.of-nobody-at-all","access_token":")" +
        access + R"(","refresh_token":"rt_secret_refresh_token")" + (more.empty() ? "" : "," + more) + "}}");
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

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BB_SHADOW_MEMORY 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#define BB_SHADOW_MEMORY 1
#endif
#endif

#ifndef BB_SHADOW_MEMORY  // terabytes to look through, and what was freed is kept
/// The i-th letter of a token that this process never holds but where it was read.
char letter(std::size_t i) {
  return static_cast<char>('a' + (i * i * 7 + i * 3 + i / 26) % 26);
}

std::size_t copies_in_memory() {
  std::size_t copies = 0;
  std::ifstream maps("/proc/self/maps");
  const int memory = ::open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  std::string line;
  while (std::getline(maps, line)) {
    std::size_t at = 0;
    std::size_t end = 0;
    std::array<char, 5> mode{};
    if (std::sscanf(line.c_str(), "%zx-%zx %4s", &at, &end, mode.data()) != 3 || mode[1] != 'w') continue;
    std::array<char, 4096> page{};
    std::size_t matched = 0;
    for (; at<end&& ::pread(memory, page.data(), page.size(), static_cast<off_t>(at))> 0; at += page.size())
      for (const char c : page) {
        matched = c == letter(matched) ? matched + 1 : c == letter(0) ? 1 : 0;
        if (matched == 48) ++copies;
      }
    ::explicit_bzero(page.data(), page.size());
  }
  ::close(memory);
  return copies;
}

TEST_F(CodexLogin, nothing_of_it_is_left_in_memory) {
  const pid_t writer = ::fork();
  if (writer == 0) {
    std::string tail;
    for (std::size_t i = 0; i < 300; ++i) tail += letter(i);
    write_tokens("x." + url64(R"({"exp":)" + std::to_string(later_) + "}") + "." + tail);
    ::_exit(0);
  }
  ASSERT_EQ(::waitpid(writer, nullptr, 0), writer);
  {
    const HostLogin login = read_host_login(home_.string());
    EXPECT_GT(copies_in_memory(), 0U) << "the search finds what is there";
  }
  EXPECT_EQ(copies_in_memory(), 0U);
}
#endif

TEST_F(CodexLogin, one_that_names_no_account_is_refused_or_the_agent_would_name_it) {
  write_tokens(real_token(later_), "");
  EXPECT_THAT(refusal(), HasSubstr("does not say which account is meant"));
  const std::string access = "x." +
                             url64(R"({"exp":)" + std::to_string(later_) +
                                   R"(,"https://api.openai.com/auth":{"chatgpt_account_id":"acc-in-access"}})") +
                             ".y";
  write_tokens(access, "");
  EXPECT_EQ(read_host_login(home_.string()).account, "acc-in-access");
}

TEST_F(CodexLogin, a_workspace_that_holds_it_is_refused) {
  const auto is_refused = [this](const fs::path& workspace) {
    try {
      refuse_in_workspace(home_.string(), workspace.string());
    } catch (const sdk::Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("holds the login of Codex in " + home_.string()));
      return true;
    }
    return false;
  };
  EXPECT_TRUE(is_refused(home_));
  EXPECT_TRUE(is_refused(home_.parent_path()));
  fs::create_directories(home_ / "skills/review");
  EXPECT_FALSE(is_refused(home_ / "skills/review"));
  EXPECT_FALSE(is_refused(home_.string() + "-of-another"));
  EXPECT_FALSE(is_refused({}));
  fs::create_directory_symlink(home_.parent_path(), home_ / "skills/link");
  EXPECT_TRUE(is_refused(home_ / "skills/link"));
}

constexpr std::int64_t no_child = std::int64_t{1} << 30;  // waitpid(2) knows of none

TEST_F(CodexLogin, one_that_is_over_is_renewed_by_the_hosts_own_program) {
  write_tokens(real_token(1'700'000'000));
  sdk::FakeHost host;
  host.on_spawn = [&](const sdk::ProcessRequest&) {
    write_tokens(real_token(later_));
    return no_child;
  };
  EXPECT_EQ(fresh_host_login(home_.string(), host.host(), host.call()).expires_at, later_);
  ASSERT_EQ(host.programs.size(), 1U);
  EXPECT_THAT(host.programs[0].argv, testing::ElementsAre("codex", "app-server"));
  EXPECT_EQ(host.programs[0].cwd, "/");
  EXPECT_TRUE(host.programs[0].session) << "Ctrl-C would end it between a refresh token and the next";
  EXPECT_EQ(fresh_host_login(home_.string(), host.host(), host.call()).expires_at, later_);
  EXPECT_EQ(host.programs.size(), 1U) << "one that is not over is not renewed";
  EXPECT_TRUE(host.violations.empty());
}

TEST_F(CodexLogin, one_that_is_over_still_is_refused) {
  write_tokens(real_token(std::time(nullptr) + 10));  // it would be over before the bottle runs
  sdk::FakeHost host;
  host.on_spawn = [](const sdk::ProcessRequest&) { return no_child; };
  try {
    static_cast<void>(fresh_host_login(home_.string(), host.host(), host.call()));
    FAIL() << "accepted";
  } catch (const sdk::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("has expired, and `codex` could not renew it"));
    EXPECT_THAT(error.hint, HasSubstr("codex login"));
  }
  host.on_spawn = [](const sdk::ProcessRequest&) -> std::int64_t {
    throw sdk::Error(sdk::Status::not_found, "no such program");
  };
  try {
    static_cast<void>(fresh_host_login(home_.string(), host.host(), host.call()));
    FAIL() << "accepted";
  } catch (const sdk::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("no `codex` on your PATH"));
  }
}

std::atomic<bool> says_that_it_renews{false};

TEST_F(CodexLogin, of_two_that_would_renew_it_the_second_finds_it_renewed) {
  write_tokens(real_token(1'700'000'000));
  const int other = ::open(home_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(::flock(other, LOCK_EX), 0);
  sdk::FakeHost host;
  host.on_spawn = [](const sdk::ProcessRequest&) { return no_child; };
  bb_call call = *host.raw_call();
  call.progress = [](const bb_call*, std::uint32_t, bb_str) { says_that_it_renews = true; };
  // The first ends once the second has seen that the login is over.
  std::thread first([&] {
    for (int i = 0; i < 1000 && !says_that_it_renews; ++i) ::poll(nullptr, 0, 10);
    write_tokens(real_token(later_));
    ::close(other);
  });
  std::int64_t found = 0;
  try {
    found = fresh_host_login(home_.string(), host.host(), sdk::Call(&call)).expires_at;
  } catch (const sdk::Error& error) {
    ADD_FAILURE() << error.what();
  }
  first.join();
  EXPECT_EQ(found, later_);
  EXPECT_TRUE(host.programs.empty()) << "the refresh token was spent already";
}

TEST_F(CodexLogin, who_waits_for_another_ones_renewal_can_be_cancelled) {
  write_tokens(real_token(1'700'000'000));
  const int other = ::open(home_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(::flock(other, LOCK_EX), 0);
  sdk::FakeHost host;
  host.cancel();
  try {
    static_cast<void>(fresh_host_login(home_.string(), host.host(), host.call()));
    ADD_FAILURE() << "accepted";
  } catch (const sdk::Error& error) {
    EXPECT_EQ(error.status, sdk::Status::cancelled);
  }
  ::close(other);
}

TEST_F(CodexLogin, without_the_lock_nothing_is_renewed) {
  write_tokens(real_token(1'700'000'000));
  const int other = ::open(home_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(::flock(other, LOCK_EX), 0);
  sdk::FakeHost host;
  host.on_spawn = [](const sdk::ProcessRequest&) {
    ADD_FAILURE() << "renewed beside another";
    return no_child;
  };
  try {
    static_cast<void>(fresh_host_login(home_.string(), host.host(), host.call(), std::chrono::milliseconds(50)));
    ADD_FAILURE() << "accepted";
  } catch (const sdk::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("another program has been renewing"));
  }
  ::close(other);
}

TEST_F(CodexLogin, a_renewal_that_takes_too_long_is_left_with_the_lock) {
  write_tokens(real_token(1'700'000'000));
  sdk::FakeHost host;
  pid_t child = -1;
  host.on_spawn = [&](const sdk::ProcessRequest&) -> std::int64_t {
    child = ::fork();
    if (child == 0) {
      ::setsid();
      ::poll(nullptr, 0, -1);
    }
    return child;
  };
  try {
    static_cast<void>(fresh_host_login(home_.string(), host.host(), host.call(), std::chrono::milliseconds(50)));
    ADD_FAILURE() << "accepted";
  } catch (const sdk::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("is still renewing it"));
  }
  ASSERT_GT(child, 0);
  EXPECT_EQ(::waitpid(child, nullptr, WNOHANG), 0) << "it was ended";
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST_F(CodexLogin, a_renewal_that_has_begun_is_not_torn_off_by_a_cancelled_start) {
  write_tokens(real_token(1'700'000'000));
  std::array<int, 2> hold{};
  ASSERT_EQ(::pipe2(hold.data(), O_CLOEXEC), 0);
  sdk::FakeHost host;
  pid_t child = -1;
  host.on_spawn = [&](const sdk::ProcessRequest&) -> std::int64_t {
    child = ::fork();
    if (child == 0) {
      ::setsid();
      ::close(hold[1]);
      char end = 0;
      ::_exit(::read(hold[0], &end, 1) == 0 ? 7 : 1);  // until the test lets it end
    }
    host.cancel();
    return child;
  };
  try {
    static_cast<void>(fresh_host_login(home_.string(), host.host(), host.call()));
    ADD_FAILURE() << "accepted";
  } catch (const sdk::Error& error) {
    EXPECT_EQ(error.status, sdk::Status::cancelled);
  }
  ASSERT_GT(child, 0);
  EXPECT_EQ(::waitpid(child, nullptr, WNOHANG), 0) << "it was ended";
  ::close(hold[1]);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7) << status;
  ::close(hold[0]);
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
