// `plugin check`: the conformance suite in its child process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <cstdlib>
#include <string>

#include "core/base/text.hpp"
#include "tests/abi/plugin_home.hpp"

namespace bot_bottle::plugins {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// The failed lines, as text.
std::string failed(const std::vector<CheckLine>& lines) {
  std::string out;
  for (const CheckLine& line : lines) {
    if (line.outcome == CheckOutcome::failed) out += line.check + " -> " + line.detail + "\n";
  }
  return out;
}

std::string check_subject(const std::string& subject) {
  PluginHome home;
  return failed(check_plugin(home.add_installed(subject), home.options()));
}

TEST(Check, the_examples_and_a_minimal_plugin_pass) {
  PluginHome home;
  for (const char* name : {"hello-c", "hello-cpp"}) {
    const auto lines = check_plugin(std::filesystem::path(BB_BUILD_DIR) / "tests" / "plugins" / name, home.options());
    EXPECT_EQ(failed(lines), "") << name;
    EXPECT_GT(lines.size(), 20U) << name;
  }
  EXPECT_EQ(check_subject("good"), "");
}

TEST(Check, a_plugin_that_dies_is_a_failed_line_with_the_signals_name) {
  EXPECT_THAT(check_subject("init_aborts"), AllOf(HasSubstr("the library loads"), HasSubstr("died of SIGABRT")));
  EXPECT_THAT(check_subject("aborts"), AllOf(HasSubstr("describe fits its schema"), HasSubstr("died of SIGABRT")));
}

TEST(Check, a_plugin_that_ends_the_process_has_not_passed) {
  EXPECT_THAT(check_subject("exits"), AllOf(HasSubstr("describe fits its schema"), HasSubstr("ended with status 0")));
  EXPECT_THAT(check_subject("crashes"), AllOf(HasSubstr("plan (interactive) fits"), HasSubstr("died of SIGSEGV")));
}

TEST(Check, a_plugin_that_closes_every_descriptor_and_stays_is_ended) {
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_THAT(check_subject("closes_all"), HasSubstr("closed descriptors that are not its own"));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(30)) << "sooner than any limit of a check";
}

TEST(Check, what_a_plugin_left_behind_neither_holds_the_check_up_nor_survives_it) {
  PluginHome home;
  const std::string path = (home.root() / "left").string();
  ::setenv("LINGERS_AT", path.c_str(), 1);
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_THAT(failed(check_plugin(home.add_installed("lingers"), home.options())), HasSubstr("died of SIGABRT"));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(30));
  ::unsetenv("LINGERS_AT");
  const pid_t left = std::stoi(or_throw(read_file(path)));
  ASSERT_GT(left, 1);
  // Killed; who reaps it is another matter.
  const auto is_alive = [left] {
    const auto status = read_file("/proc/" + std::to_string(left) + "/stat");
    return status && status->find(") Z ") == std::string::npos;
  };
  for (int tries = 0; is_alive() && tries < 1000; ++tries) ::poll(nullptr, 0, 10);
  EXPECT_FALSE(is_alive());
}

TEST(Check, a_plugin_has_neither_our_standard_output_nor_our_standard_input) {
  ::testing::internal::CaptureStdout();
  const std::string said = check_subject("prints");
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(said, "");
}

TEST(Check, a_deploy_key_plugin_that_takes_failures_for_successes_or_tells_the_token_fails) {
  const auto check_it = [] {
    PluginHome home;
    return failed(check_plugin(home.add(home.installed(), "subject", "careless_deploy_key",
                                        PluginHome::toml("subject", "\"deploy-key:subject\"")),
                               home.options()));
  };
  EXPECT_THAT(check_it(), AllOf(HasSubstr("cannot be reached is a failure"), HasSubstr("create_key is taken for a")));
  ::setenv("CARELESS", "token", 1);
  EXPECT_THAT(check_it(), HasSubstr("create_key: the forge's token is in the message"));
  ::unsetenv("CARELESS");
}

TEST(Check, each_fault_of_loading_is_told) {
  EXPECT_THAT(check_subject("missing_slots"),
              AllOf(HasSubstr("lacks destroy, plan"), HasSubstr("lacks create, destroy")));
  EXPECT_THAT(check_subject("no_symbol"), HasSubstr("bb_plugin_entry"));
}

TEST(Check, a_secret_in_a_document_is_found) {
  EXPECT_THAT(check_subject("leaks"), HasSubstr("holds no secret -> a secret's value is in the document"));
}

TEST(Check, a_broken_rule_is_a_failed_check) {
  EXPECT_THAT(check_subject("ok_with_fail"), HasSubstr("keeps the rules of plugin.h"));
  EXPECT_THAT(check_subject("throws"), HasSubstr("threw \"from describe\""));
  EXPECT_THAT(check_subject("two_keys"), HasSubstr("twice"));
}

TEST(Check, a_backend_whose_plan_writes_fails_before_anything_is_launched) {
  PluginHome home;
  const auto directory =
      home.add(home.installed(), "subject", "impure_backend", PluginHome::toml("subject", "\"backend:subject\""));
  const auto lines = check_plugin(directory, home.options());
  EXPECT_THAT(failed(lines), HasSubstr("backend:subject: plan fits its schema -> plan wrote into the state directory"));
  EXPECT_TRUE(std::filesystem::is_empty(home.root() / "home" / "state"));
}

TEST(Check, the_built_in_providers_pass) {
  PluginHome home;
  for (const std::string_view directory : split(BB_PROVIDERS, ':')) {
    if (directory.empty()) continue;
    EXPECT_EQ(failed(check_plugin(std::filesystem::path(directory), home.options())), "") << directory;
  }
}

TEST(Check, a_directory_that_is_no_plugin_says_so) {
  PluginHome home;
  EXPECT_THAT(failed(check_plugin(home.root(), home.options())), HasSubstr("no plugin.toml"));
}

}  // namespace
}  // namespace bot_bottle::plugins
