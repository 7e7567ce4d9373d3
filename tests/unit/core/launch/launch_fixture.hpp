// The fixture of launch_test.cpp and session_end_test.cpp: a launch of fakes.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>
#include <fstream>

#include "core/base/clock.hpp"
#include "core/base/text.hpp"
#include "core/launch/launch.hpp"
#include "core/launch/session_file.hpp"
#include "core/state/directory.hpp"
#include "fakes.hpp"

namespace bot_bottle::launch {

using namespace testing_fakes;
using namespace std::chrono_literals;

inline constexpr const char* planted = "planted-secret-0123456789";

/// [[word, …]]. Not `array{array{…}}`: clang takes that for a copy of the inner one (CWG 2137).
inline json::array one_command(json::array words) {
  json::array commands;
  commands.emplace_back(std::move(words));
  return commands;
}

class LaunchTest : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("BB_TEST_TOKEN", planted, 1);
    ::setenv("HOME", place.root.c_str(), 1);
    manifest.agent = "writer";
    manifest.bottle = "dev";
    manifest.bottle_chain = {"dev"};
    manifest.provider.plugin = "tool";
    manifest.provider.auth_token = "BB_TEST_TOKEN";
    manifest.env["EDITOR"] = {manifest::EnvEntry::Kind::literal, "vi", {}};
    policy::Route route;
    route.host = "api.example.com";
    route.auth = policy::Auth{policy::Auth::Scheme::bearer, "authorization", "BB_TEST_TOKEN"};
    manifest.egress.routes = {route};
    parts.home = place.home;
    parts.installation = place.installation;
    parts.backend = &backend;
    parts.provider = &provider;
    parts.progress = &progress;
    parts.signals = &signals;
    parts.note = [this](std::string_view text) { notes.emplace_back(text); };
    parts.warn = [this](std::string_view text) { warnings.emplace_back(text); };
    parts.set_cancel_fd = [this](int fd) { cancel_fds.push_back(fd); };
    choices.cwd = place.project;
    choices.session = plan::Session::headless;
    choices.headless_prompt = "write";
    options.capture = Capture::yes;
  }
  void TearDown() override {
    ::unsetenv("BB_TEST_TOKEN");
    for (const char* name : {"BOT_BOTTLE_TEST_FAIL_AT", "BOT_BOTTLE_TEST_KILL_AT", "BOT_BOTTLE_TEST_DISABLE_GUARDS",
                             "BOT_BOTTLE_TEST_PATIENCE_MS"})
      ::unsetenv(name);
  }
  plan::Plan make() const { return make_plan(parts, manifest, choices, "writer-1"); }
  SessionResult run() const { return run_session(make(), parts, options); }
  Error run_to_failure() const {
    try {
      run();
    } catch (const Failure& failure) {
      return failure.error();
    }
    ADD_FAILURE() << "it succeeded";
    return {};
  }
  bool state_exists() const { return std::filesystem::exists(place.home.state_of("writer-1")); }

  Place place;
  FakeBackend backend;
  FakeProvider provider;
  tui::Progress progress{tui::Progress::Style::none, 2};
  Signals signals;
  manifest::Manifest manifest;
  plan::Choices choices;
  Parts parts;
  SessionOptions options;
  std::vector<std::string> notes;
  std::vector<std::string> warnings;
  std::vector<int> cancel_fds;
};

}  // namespace bot_bottle::launch
