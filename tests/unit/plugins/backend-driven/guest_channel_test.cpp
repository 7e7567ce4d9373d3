// A relay whose tool does not do its part.
#include "plugins/backend-driven/guest_channel.hpp"

#include <gtest/gtest.h>

#include "bot_bottle/plugin.hpp"
#include "plugins/backend-driven/tool.hpp"
#include "plugins/backend-driven/tool_channel.hpp"

namespace bot_bottle::driven {
namespace {

GuestRun make_run() {
  GuestRun run;
  run.argv = {"true"};
  return run;
}

TEST(GuestChannel, an_exec_that_hangs_before_anything_runs_ends_with_a_word) {
  const Tool tool("/bin/sleep", {});
  ToolChannel channel(tool, {"1000"});
  GuestRun run = make_run();
  run.start_timeout = std::chrono::milliseconds(50);
  try {
    static_cast<void>(run_in_guest(channel, run));
    FAIL() << "it ended as if it had run";
  } catch (const sdk::Error& error) {
    EXPECT_EQ(error.status, sdk::Status::timeout);
    EXPECT_NE(error.message.find("the bottle does not answer"), std::string::npos) << error.message;
  }
}

TEST(GuestChannel, what_the_tool_said_is_in_the_message) {
  const Tool tool("/bin/sh", {{"PATH", "/usr/bin:/bin"}});
  ToolChannel channel(tool, {"-c", "echo 'Error: XPC connection error' >&2; exit 1"});
  try {
    static_cast<void>(run_in_guest(channel, make_run()));
    FAIL() << "it ended as if it had run";
  } catch (const sdk::Error& error) {
    EXPECT_EQ(error.status, sdk::Status::failed_precondition);
    EXPECT_NE(error.message.find("XPC connection error"), std::string::npos) << error.message;
  }
}

TEST(GuestChannel, what_is_not_the_protocol_is_the_end) {
  const Tool tool("/bin/sh", {{"PATH", "/usr/bin:/bin"}});
  ToolChannel channel(tool, {"-c", "echo hello from a tool that prints; sleep 1000"});
  EXPECT_THROW(static_cast<void>(run_in_guest(channel, make_run())), sdk::Error);
}

}  // namespace
}  // namespace bot_bottle::driven
