// The program that enters a bottle: its pipes, its end, its environment.
#include "core/launch/attach.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "core/base/file.hpp"

namespace bot_bottle::launch {
namespace {

using namespace std::chrono_literals;

AttachRequest shell(const std::string& script) {
  AttachRequest request;
  request.document = {{"argv", json::array{"/bin/sh", "-c", script}}, {"env", json::object{{"FROM_BACKEND", "yes"}}}};
  request.standard = Standard::capture;
  request.input = AttachRequest::Input::none;
  return request;
}

TEST(Attach, gives_output_and_code_of_the_agent) {
  const Signals signals;
  const AttachResult result = attach(shell("echo hello; exit 7"), signals);
  EXPECT_EQ(result.captured, "hello\n");
  EXPECT_EQ(result.code, 7);
  EXPECT_FALSE(result.crashed);
}

TEST(Attach, a_crash_of_the_attaching_program_is_told) {
  const Signals signals;
  const AttachResult result = attach(shell("kill -SEGV $$"), signals);
  EXPECT_TRUE(result.crashed);
  EXPECT_EQ(result.code, 128 + SIGSEGV);
}

TEST(Attach, the_prompt_goes_in_whole_also_when_it_is_longer_than_a_pipe) {
  const Signals signals;
  AttachRequest request = shell("wc -c");
  request.input = AttachRequest::Input::text;
  request.input_text = std::string(300'000, 'p');
  EXPECT_EQ(std::stoi(attach(request, signals).captured), 300'000);
}

TEST(Attach, an_agent_that_does_not_read_its_prompt_ends_all_the_same) {
  const Signals signals;
  AttachRequest request = shell("exit 3");
  request.input = AttachRequest::Input::text;
  request.input_text = std::string(300'000, 'p');
  EXPECT_EQ(attach(request, signals).code, 3);
}

TEST(Attach, F1_the_bottles_secrets_are_not_in_its_environment) {
  ::setenv("BB_TEST_TOKEN", "token-value-0123", 1);
  const Signals signals;
  AttachRequest request = shell("env");
  request.hidden_names = {"BB_TEST_TOKEN"};
  const std::string env = attach(request, signals).captured;
  EXPECT_EQ(env.find("token-value-0123"), std::string::npos);
  EXPECT_NE(env.find("FROM_BACKEND=yes"), std::string::npos);
  EXPECT_NE(env.find("PATH="), std::string::npos);
  ::unsetenv("BB_TEST_TOKEN");
}

TEST(Attach, output_beyond_the_bound_is_dropped_and_told) {
  const Signals signals;
  AttachRequest request = shell("head -c 100000 /dev/zero | tr '\\0' x");
  request.max_capture = 1000;
  const AttachResult result = attach(request, signals);
  EXPECT_EQ(result.captured.size(), 1000U);
  EXPECT_TRUE(result.truncated);
}

TEST(Attach, an_agent_that_takes_too_long_is_stopped) {
  const Signals signals;
  AttachRequest request = shell("exec sleep 60");
  request.timeout = 50ms;
  const AttachResult result = attach(request, signals);
  EXPECT_TRUE(result.timed_out);
  EXPECT_EQ(result.code, 128 + SIGTERM);
}

TEST(Attach, a_signal_to_us_ends_the_agent) {
  const Signals signals;
  AttachRequest request = shell("kill -TERM $PPID; exec sleep 60");
  const AttachResult result = attach(request, signals);
  EXPECT_TRUE(result.cancelled);
  EXPECT_FALSE(result.timed_out);
}

TEST(Attach, a_grandchild_that_keeps_the_output_open_is_not_waited_for) {
  const Signals signals;
  const auto began = std::chrono::steady_clock::now();
  const AttachResult result = attach(shell("echo done; sleep 30 & exit 0"), signals);
  EXPECT_EQ(result.captured, "done\n");
  EXPECT_LT(std::chrono::steady_clock::now() - began, 20s);
}

TEST(TerminalFilter, K4_escapes_what_would_move_the_cursor_and_keeps_text) {
  TerminalFilter filter;
  EXPECT_EQ(filter.feed("plain\ttext\r\n"), "plain\ttext\n");
  EXPECT_EQ(filter.feed("\x1b]0;evil\x07").find('\x1b'), std::string::npos);
  EXPECT_EQ(filter.feed("overwrite\rsafe").find('\r'), std::string::npos);
}

TEST(TerminalFilter, a_character_cut_between_two_pieces_is_whole_in_the_end) {
  const std::string text = "grüße 漢字 🙂";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    TerminalFilter filter;
    std::string out = filter.feed(text.substr(0, cut));
    out += filter.feed(text.substr(cut));
    out += filter.finish();
    EXPECT_EQ(out, text) << cut;
  }
  TerminalFilter broken;
  std::string out = broken.feed("\xe6\xbc");
  out += broken.finish();
  EXPECT_EQ(out.find('\xe6'), std::string::npos);
}

}  // namespace
}  // namespace bot_bottle::launch
