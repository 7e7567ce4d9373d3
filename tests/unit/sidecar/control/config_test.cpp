// The configuration is read strictly and its errors never hold a secret.
#include "sidecar/control/config.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "core/base/file.hpp"

namespace bot_bottle::sidecar {
namespace {

std::string document(std::string_view members) {
  return R"({"schema": "bot-bottle.sidecar-config/1", "slug": "x-1", "egress": {"routes": [{"host": "api.example.com"}]})" +
         std::string(members) + "}";
}

TEST(Config, reads_what_the_core_writes) {
  const auto config = parse_config(document(
      R"(, "log_level": 2, "control_peer_uids": [0, 1000], "secrets": [{"name": "T", "value": "tök\u00e9n-\"1234"}],
         "placeholders": [{"value": "p", "token_ref": "T"}], "unknown": {"ignored": true})"));
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->slug, "x-1");
  EXPECT_EQ(config->log_level, 2);
  EXPECT_EQ(config->control_peer_uids, (std::vector<uid_t>{0, 1000}));
  EXPECT_EQ(config->egress.routes.at(0).host, "api.example.com");
  ASSERT_NE(config->secrets.find("T"), nullptr);
  EXPECT_EQ(config->secrets.find("T")->view(), "tökén-\"1234");
  EXPECT_EQ(config->secrets.placeholders().at(0).token_ref, "T");
}

TEST(Config, canaries_are_known_and_are_no_secrets) {
  const auto config = parse_config(document(R"(, "canaries": [{"name": "netrc", "value": "glpat-0123456789"}])"));
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_TRUE(config->secrets.empty()) << "an answer is not scrubbed for them, no route can inject them";
  EXPECT_EQ(config->secrets.find("netrc"), nullptr);
  ASSERT_EQ(config->secrets.known_canaries().size(), 1U);
  EXPECT_EQ(config->secrets.known_canaries()[0].kind, dlp::KnownSecret::Kind::canary);
  for (const char* members : {R"(, "canaries": ["x"])", R"(, "canaries": [{"name": "x"}])"})
    EXPECT_FALSE(parse_config(document(members))) << members;
}

TEST(Config, nobody_named_means_only_ourselves) {
  EXPECT_EQ(parse_config(document(""))->control_peer_uids, std::vector<uid_t>{::geteuid()});
}

TEST(Config, errors_name_the_fault_and_hold_no_value) {
  for (const char* members :
       {R"(, "secrets": [{"name": "T", "value": ["hunter2-hunter2"]}])", R"(, "secrets": ["hunter2-hunter2"])",
        R"(, "log_level": 7, "secrets": [{"name": "T", "value": "hunter2-hunter2"}])",
        R"(, "secrets": [{"name": "T", "value": "hunter2-hunter2"}], "control_peer_uids": ["x"])",
        R"(, "secrets": [{"name": "T", "value": "hunter2-hunter2"}] broken)"}) {
    const auto config = parse_config(document(members));
    ASSERT_FALSE(config) << members;
    EXPECT_EQ(config.error().message.find("hunter2"), std::string::npos) << config.error().message;
  }
  EXPECT_FALSE(parse_config("[]"));
  EXPECT_FALSE(parse_config(""));
  EXPECT_FALSE(parse_config(R"({"schema": "bot-bottle.sidecar-config/2", "slug": "x", "egress": {}})"));
}

TEST(Config, guards_are_only_switched_off_in_test_builds) {
  const auto config = parse_config(document(R"(, "disabled_guards": ["dlp"])"));
#ifdef BB_TEST_HOOKS
  ASSERT_TRUE(config);
  EXPECT_FALSE(config->guards.is_on(egress::Guard::dlp));
  EXPECT_TRUE(config->guards.is_on(egress::Guard::ssrf));
#else
  EXPECT_FALSE(config);
#endif
  EXPECT_FALSE(parse_config(document(R"(, "disabled_guards": ["everything"])")));
}

TEST(Config, is_read_from_a_pipe_to_its_end) {
  int fds[2] = {-1, -1};
  ASSERT_EQ(::pipe(fds), 0);
  UniqueFd reader(fds[0]);
  std::thread writer([fd = fds[1]] {
    const std::string text = document("");
    EXPECT_TRUE(write_all(fd, std::string_view(text).substr(0, 20)));
    EXPECT_TRUE(write_all(fd, std::string_view(text).substr(20)));
    ::close(fd);
  });
  const auto config = read_config(reader.get());
  writer.join();
  EXPECT_TRUE(config);
}

}  // namespace
}  // namespace bot_bottle::sidecar
