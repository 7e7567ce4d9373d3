// A tool that hangs, talks too much, or is run in an environment with secrets.
#include "plugins/backend-driven/tool.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/random.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::driven {
namespace {

using namespace std::chrono_literals;

Tool shell() {
  return {"/bin/sh", {{"PATH", "/usr/bin:/bin"}}};
}

ToolRun script(const std::string& text) {
  ToolRun run;
  run.arguments = {"-c", text};
  return run;
}

bool is_there(pid_t pid) {
  return ::kill(pid, 0) == 0 || errno != ESRCH;
}

TEST(Tool, what_hangs_is_ended_with_all_that_it_started_and_named) {
  std::string said;
  ToolRun run = script("trap '' TERM; sleep 1000 & echo $$ $!; wait; sleep 1000");
  run.deadline = 300ms;
  run.output = [&](std::string_view bytes) { said += bytes; };
  const auto start = std::chrono::steady_clock::now();
  try {
    static_cast<void>(shell().run(run, -1));
    FAIL() << "it ended";
  } catch (const sdk::Error& error) {
    EXPECT_EQ(error.status, sdk::Status::timeout);
    EXPECT_NE(error.message.find("did not end"), std::string::npos) << error.message;
    EXPECT_FALSE(error.hint.empty());
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, 30s);
  const auto pids = split(trim(said), ' ');
  ASSERT_EQ(pids.size(), 2U) << said;
  EXPECT_FALSE(is_there(std::stoi(std::string(pids[0]))));
  // The other is init's child by now, which reaps it when it comes to it.
  const pid_t other = std::stoi(std::string(pids[1]));
  for (int i = 0; i < 500 && is_there(other); ++i) ::usleep(10'000);
  EXPECT_FALSE(is_there(other));
}

TEST(Tool, a_cancelled_call_ends) {
  PipeEnds cancel = make_pipe();
  cancel.write.reset();
  EXPECT_THROW(
      {
        try {
          static_cast<void>(shell().run(script("sleep 1000"), cancel.read.get()));
        } catch (const sdk::Error& error) {
          EXPECT_EQ(error.status, sdk::Status::cancelled);
          throw;
        }
      },
      sdk::Error);
}

TEST(Tool, a_machine_that_keeps_the_pipes_open_is_not_waited_for) {
  const auto start = std::chrono::steady_clock::now();
  const ToolResult result = shell().run(script("sleep 20 & echo started; exit 3"), -1);
  EXPECT_EQ(result.code, 3);
  EXPECT_EQ(result.out, "started\n");
  EXPECT_LT(std::chrono::steady_clock::now() - start, 15s);
}

TEST(Tool, whoever_wants_all_of_standard_error_is_given_it) {
  std::size_t said = 0;
  ToolRun run = script("head -c 200000 /dev/zero >&2; echo out");
  run.max_output = 1000;
  run.error = [&](std::string_view bytes) { said += bytes.size(); };
  const ToolResult result = shell().run(run, -1);
  EXPECT_EQ(said, 200'000U);
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "");
  EXPECT_FALSE(result.truncated);
}

TEST(Tool, output_is_bounded_and_says_so) {
  ToolRun run = script("head -c 100000 /dev/zero; echo error >&2");
  run.max_output = 1000;
  const ToolResult result = shell().run(run, -1);
  EXPECT_EQ(result.out.size(), 1000U);
  EXPECT_TRUE(result.truncated);
  EXPECT_EQ(result.err, "error\n");
}

TEST(Tool, input_larger_than_a_pipe_arrives_whole) {
  ToolRun run = script("wc -c");
  run.input = std::string(std::size_t{3} << 20, 'x');
  EXPECT_EQ(trim(shell().run(run, -1).out), "3145728");
}

TEST(Tool, nothing_of_the_operators_environment_reaches_it_but_what_it_needs) {
  for (const char* name : {"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "SSH_AUTH_SOCK", "ANTHROPIC_API_KEY",
                           "SMOLVM_EGRESS_FLOOR", "SMOLVM_DATA_DIR", "RUST_LOG", "CONTAINER_DEBUG"})
    ::setenv(name, "of-the-operator", 1);
  ::setenv("TMPDIR", ("/nowhere-" + random_base36(8)).c_str(), 1);
  const Tool::Environment env = tool_environment();
  ::unsetenv("TMPDIR");
  for (const auto& [name, value] : env) EXPECT_NE(value, "of-the-operator") << name;
  EXPECT_FALSE(env.contains("TMPDIR")) << "one that is gone breaks tools in strange ways";
  EXPECT_TRUE(env.contains("PATH"));
  const ToolResult result = Tool("/usr/bin/env", env).run({}, -1);
  EXPECT_EQ(result.out.find("of-the-operator"), std::string::npos);
}

TEST(Tool, what_failed_is_said_without_progress) {
  ToolResult result;
  result.err = "Starting machine 'x'…\nError: kvm not available: no\n";
  EXPECT_EQ(complaint_of(result), "kvm not available: no");
  try {
    static_cast<void>(shell().run_or_throw(script("echo 'Error: broken' >&2; exit 4"), -1, "do it"));
    FAIL();
  } catch (const sdk::Error& error) {
    EXPECT_EQ(error.status, sdk::Status::failed_precondition);
    EXPECT_NE(error.message.find("cannot do it"), std::string::npos) << error.message;
    EXPECT_NE(error.message.find("code 4: broken"), std::string::npos) << error.message;
  }
}

TEST(Tool, one_that_is_not_there_is_unavailable) {
  try {
    static_cast<void>(Tool("/nowhere/tool", {}).run({}, -1));
    FAIL();
  } catch (const sdk::Error& error) {
    EXPECT_EQ(error.status, sdk::Status::unavailable);
    EXPECT_NE(error.message.find("/nowhere/tool"), std::string::npos);
  }
}

}  // namespace
}  // namespace bot_bottle::driven
