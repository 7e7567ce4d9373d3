// Calls into plugins that break the rules of plugin.h: what the operator reads, and what the log says of the plugin.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/abi/plugin_home.hpp"

namespace bot_bottle::plugins {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

struct Outcome {
  std::string failure;  // "" when the call was good
  std::string log;      // what was logged as misbehaviour, lines joined
};

Outcome describe(const std::string& subject) {
  PluginHome home;
  home.add_installed(subject);
  Registry registry(home.options());
  Outcome out;
  out.failure = failure_of([&] { registry.provider("subject").describe(); });
  for (const LogLine& line : home.logs) {
    if (line.level == 4) out.log += line.text + "\n";
  }
  return out;
}

TEST(Misbehaviour, ok_together_with_fail_is_logged_and_taken_for_ok) {
  const Outcome out = describe("ok_with_fail");
  EXPECT_EQ(out.failure, "");
  EXPECT_THAT(out.log, AllOf(HasSubstr("provider subject: describe"), HasSubstr("nothing is wrong"),
                             HasSubstr("returned BB_OK")));
}

TEST(Misbehaviour, a_failure_without_a_reason_gets_one_and_is_logged) {
  const Outcome out = describe("silent");
  EXPECT_THAT(out.failure, HasSubstr("provider subject: describe: the plugin gave no reason (not_found)"));
  EXPECT_THAT(out.log, HasSubstr("failed without saying why"));
}

TEST(Misbehaviour, an_unknown_status_is_internal_and_hostile_bytes_become_utf8) {
  const Outcome out = describe("unknown_status");
  EXPECT_THAT(out.failure, HasSubstr("odd\x1b[2J\xef\xbf\xbd"));
  EXPECT_THAT(out.failure, HasSubstr("hint"));
  EXPECT_THAT(out.log, HasSubstr("unknown status 4711"));
}

TEST(Misbehaviour, a_document_beyond_4_mib_is_refused_with_the_plugins_name) {
  EXPECT_THAT(describe("large").failure, HasSubstr("provider subject: describe: the plugin wrote more than 4 MiB"));
}

TEST(Misbehaviour, a_document_must_be_utf8_json_and_what_was_asked_for) {
  for (const char* subject : {"bad_utf8", "bad_json", "wrong_schema", "two_keys"}) {
    const Outcome out = describe(subject);
    EXPECT_THAT(out.failure, HasSubstr("the plugin's document is not bot-bottle.provider-description/1")) << subject;
    EXPECT_THAT(out.log, HasSubstr("bad document")) << subject;
  }
}

TEST(Misbehaviour, an_exception_past_the_boundary_becomes_a_failure) {
  const Outcome out = describe("throws");
  EXPECT_THAT(out.failure, HasSubstr("the plugin threw \"from describe\""));
  EXPECT_THAT(out.log, HasSubstr("across the boundary"));
}

TEST(Misbehaviour, an_instance_that_is_null_is_refused) {
  EXPECT_THAT(describe("create_null").failure, HasSubstr("provider subject: create gave no instance"));
}

TEST(Misbehaviour, a_secret_that_is_not_granted_is_permission_denied_with_the_hosts_reason) {
  PluginHome home;
  home.add_installed("leaks");
  Registry registry(home.options());
  const std::string text = failure_of([&] {
    registry.provider("subject").plan({{"schema", "bot-bottle.provider-spec/1"}});
  });
  EXPECT_THAT(text, AllOf(HasSubstr("the secret TOKEN is not granted to the plugin subject"), HasSubstr("manifest")));
  for (const LogLine& line : home.logs) EXPECT_THAT(line.text, Not(HasSubstr("without saying why")));
}

}  // namespace
}  // namespace bot_bottle::plugins
