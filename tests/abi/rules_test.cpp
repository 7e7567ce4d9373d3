// Each rule of `plugin check` and a plugin that breaks it and nothing else (bad/broken_backend.c around the local
// backend, and providers of their own): the check that fails is the one of that rule.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/abi/plugin_home.hpp"

namespace bot_bottle::plugins {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Rule {
  const char* name;  // of the test
  const char* fault;
  const char* check;           // the rule's name in the output
  const char* words;           // why
  const char* also = nullptr;  // the one other check that the same fault has to fail
};
void PrintTo(const Rule& rule, std::ostream* out) {
  *out << rule.name;
}

/// Nothing else may fail: a check that is red for another rule's sake says nothing about its own.
std::string failed_checks(const std::vector<CheckLine>& lines) {
  std::string out;
  for (const CheckLine& line : lines)
    if (line.outcome == CheckOutcome::failed) out += line.check + " -> " + line.detail + "\n";
  return out;
}

std::size_t count_of(std::string_view what, std::string_view text) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

/// A home with the real programs of this build and a short path, for sockets.
HostOptions real_options(PluginHome& home) {
  HostOptions options = home.options();
  options.installation.libexec = std::filesystem::path(BB_BUILD_DIR) / "libexec" / "bot-bottle";
  return options;
}

std::vector<CheckLine> check_with(const std::string& fault) {
  PluginHome home;
  const auto directory =
      home.add(home.installed(), "subject", "broken_backend", PluginHome::toml("subject", "\"backend:subject\""));
  PluginHome::put(std::filesystem::path(BB_BUILD_DIR) / "lib/bot-bottle/plugins/backend-local/backend-local.so",
                  directory / "good.so");
  or_throw(write_file_fast(directory / "fault", fault, 0644));
  return check_plugin(directory, real_options(home));
}

class BrokenBackend : public ::testing::TestWithParam<Rule> {};

TEST_P(BrokenBackend, fails_the_check_of_its_rule) {
  const Rule& rule = GetParam();
  const std::string failed = failed_checks(check_with(rule.fault));
  EXPECT_THAT(failed, StartsWith("backend:subject: " + std::string(rule.check) + " -> "));
  EXPECT_THAT(failed, HasSubstr(rule.words));
  if (rule.also != nullptr) {
    EXPECT_THAT(failed, HasSubstr(std::string(rule.also) + " -> "));
  }
  EXPECT_EQ(count_of(" -> ", failed), rule.also == nullptr ? 1U : 2U) << failed;
}

constexpr Rule backend_rules[] = {
    {"a_plan_that_writes", "plan writes", "plan fits its schema", "plan wrote into the state directory"},
    {"a_plan_that_hangs", "plan hangs", "plan fits its schema", "did not return within 10 s"},
    {"two_plans_for_one_spec", "two plans", "plan fits its schema", "the same spec gives two plans"},
    {"a_wrong_code", "wrong code", "exec gives codes and keeps streams apart", "code is 1, not 7"},
    {"a_lost_stderr", "stderr lost", "exec gives codes and keeps streams apart", "stderr is"},
    {"a_lost_stdin", "stdin lost", "exec reads its standard input", "stdout is"},
    {"output_cut_in_silence", "output cut in silence", "exec cuts long output and says so", "truncated is not set"},
    {"a_value_on_argv", "a value on argv", "attach gives an argv without the request's values", "where ps shows it"},
    {"a_cancel_ignored", "cancel ignored", "a cancelled call returns within 5 seconds", "as if it had not been"},
    {"links_followed_out", "links followed", "copy_out follows no link", "a file of the host"},
    {"links_followed_in", "written through links", "copy_in writes through no link of the agent's", "was changed"},
    {"a_pipe_that_stops_a_copy", "stumbles over pipes", "copy_in leaves out sockets and pipes", "cannot copy a pipe"},
    {"a_hole_that_is_filled", "holes filled", "copy_out fills no disk with holes", "takes 128 MiB"},
    {"the_hosts_network", "the host's network", "the self-test passes", "network",
     "the agent has no network of its own"},
    {"an_attack_cut_short", "attack cut short", "the attacks on isolation are refused", "attempts were not reported"},
    {"an_attack_without_proof", "attack without proof", "the attacks on isolation are refused", "no proof either way"},
    {"an_attack_in_part", "attack in part", "the attacks on isolation are refused", "report is cut"},
    {"an_attack_that_failed", "attack failed", "the attacks on isolation are refused", "ended with 9"},
    {"a_secret_inside", "secret inside", "the sidecar's secrets are on no argv, in no file and not inside",
     "inside, in /proc/"},
    {"a_stop_that_does_nothing", "stop does nothing", "stop, twice", "still runs after stop"},
    {"a_remove_that_works_once", "removed once only", "remove, twice", "there is no such bottle"},
    {"nothing_listed", "nothing listed", "enumerate lists the bottle", "it is not there"},
    {"a_lifeline_ignored", "lifeline ignored", "a bottle ends with its lifeline, and can be removed then",
     "still runs"},
};
INSTANTIATE_TEST_SUITE_P(Rules, BrokenBackend, ::testing::ValuesIn(backend_rules),
                         [](const auto& tested) { return tested.param.name; });

TEST(BrokenBackend, without_a_fault_passes) {
  const auto lines = check_with("none");
  EXPECT_EQ(failed_checks(lines), "");
  EXPECT_EQ(std::ranges::count(lines, CheckOutcome::not_run, &CheckLine::outcome), 0);
}

class BrokenProvider : public ::testing::TestWithParam<Rule> {};

TEST_P(BrokenProvider, fails_the_check_of_its_rule) {
  const Rule& rule = GetParam();
  PluginHome home;
  const std::string failed = failed_checks(check_plugin(home.add_installed(rule.fault), home.options()));
  EXPECT_THAT(failed.substr(0, failed.find('\n')), HasSubstr(std::string(rule.check) + " -> "));
  EXPECT_THAT(failed, HasSubstr(rule.words));
}

constexpr Rule provider_rules[] = {
    {"a_relative_argv", "relative_argv", "has argvs, files and names that can be used", "is a relative path"},
    {"an_empty_argv", "empty_argv", "has argvs, files and names that can be used", "argv is empty"},
    {"a_file_outside_the_home", "file_outside", "has argvs, files and names that can be used", "not below the guest's"},
    {"a_secret_from_the_environment", "env_secret", "holds no secret", "is in the document"},
    {"a_call_that_hangs", "hangs", "describe fits its schema", "did not return within 10 s"},
    {"a_stray_symbol", "stray_symbol", "the library exports one symbol", "everybody_sees_this"},
    {"no_entry", "no_symbol", "the library exports one symbol", "bb_plugin_entry is not among its exports"},
};
INSTANTIATE_TEST_SUITE_P(Rules, BrokenProvider, ::testing::ValuesIn(provider_rules),
                         [](const auto& tested) { return tested.param.name; });

TEST(BrokenProvider, a_lie_in_plugin_toml_is_told) {
  PluginHome home;
  const auto directory = home.add_installed("good", "version = \"2.0.0\"\nabi = \"1.0\"\n");
  EXPECT_THAT(failed_checks(check_plugin(directory, home.options())),
              HasSubstr("the library loads and is what plugin.toml says -> "));
}

}  // namespace
}  // namespace bot_bottle::plugins
