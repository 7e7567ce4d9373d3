// Terminal guard, progress display, picker: against pseudo-terminals where a terminal matters.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>

#include "core/base/unique_fd.hpp"
#include "core/tui/picker.hpp"
#include "core/tui/progress.hpp"
#include "core/tui/terminal.hpp"

namespace bot_bottle::tui {
namespace {

struct Pty {
  UniqueFd master;
  UniqueFd slave;
  Pty() {
    int first = -1;
    int second = -1;
    winsize size{.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
    EXPECT_EQ(::openpty(&first, &second, nullptr, nullptr, &size), 0);
    master.reset(first);
    slave.reset(second);
  }
  std::string read_until(std::string_view wanted) const {
    std::string text;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    ::fcntl(master.get(), F_SETFL, O_NONBLOCK);
    while (text.find(wanted) == std::string::npos && std::chrono::steady_clock::now() < deadline) {
      std::array<char, 4096> buffer{};
      const ssize_t got = ::read(master.get(), buffer.data(), buffer.size());
      if (got > 0) text.append(buffer.data(), static_cast<std::size_t>(got));
    }
    return text;
  }
  termios settings() const {
    termios now{};
    ::tcgetattr(slave.get(), &now);
    return now;
  }
};

void make_raw(int fd) {
  termios raw{};
  ::tcgetattr(fd, &raw);
  ::cfmakeraw(&raw);
  ::tcsetattr(fd, TCSANOW, &raw);
}

TEST(TerminalGuard, puts_settings_title_and_colours_back) {
  const Pty pty;
  const termios before = pty.settings();
  {
    TerminalGuard guard(pty.slave.get(), pty.slave.get(), Restores::everything);
    guard.set_title("issue-42 (fixer)");
    guard.set_tint(*find_tint("blue"));
    make_raw(pty.slave.get());
  }
  EXPECT_EQ(pty.settings().c_lflag, before.c_lflag);
  const std::string text = pty.read_until("\x1b[23;0t");
  EXPECT_NE(text.find("\x1b]0;issue-42 (fixer)\x1b\\"), std::string::npos);
  EXPECT_NE(text.find("\x1b]11;#0a1430\x1b\\"), std::string::npos);
  EXPECT_NE(text.find("\x1b]111\x1b\\"), std::string::npos);
  EXPECT_LT(text.find("\x1b]11;"), text.find("\x1b]111"));
}

TEST(TerminalGuard, a_crash_of_this_process_also_restores_the_terminal) {
  const Pty pty;
  const termios before = pty.settings();
  const pid_t child = ::fork();
  if (child == 0) {
    TerminalGuard guard(pty.slave.get(), pty.slave.get(), Restores::everything);
    guard.set_tint(*find_tint("red"));
    make_raw(pty.slave.get());
    ::raise(SIGSEGV);
    ::_exit(0);
  }
  int status = 0;
  std::string text;
  // The master must be read, or tcsetattr in the child waits for its output to drain.
  text = pty.read_until("\x1b]111\x1b\\");
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGSEGV);
  EXPECT_EQ(pty.settings().c_lflag, before.c_lflag);
  EXPECT_NE(text.find("\x1b]111\x1b\\"), std::string::npos);
}

TEST(TerminalGuard, every_mode_an_agent_may_leave_on_is_switched_off) {
  const std::string text = reset_sequence(Ending::orderly);
  for (const char* mode : {"\x1b[?1000l", "\x1b[?1003l", "\x1b[?1006l", "\x1b[?2004l", "\x1b[?1004l", "\x1b[?25h",
                           "\x1b[0m", "\x1b[?47l", "\x1b]104", "\x1b]110"})
    EXPECT_NE(text.find(mode), std::string::npos) << mode + 1;
  EXPECT_EQ(text.find("\x1b[?1049l"), std::string::npos);
  EXPECT_NE(reset_sequence(Ending::crash).find("\x1b[?1049l"), std::string::npos);
}

TEST(TerminalGuard, writes_nothing_where_there_is_no_terminal) {
  std::array<int, 2> fds{};
  ASSERT_EQ(::pipe2(fds.data(), O_NONBLOCK), 0);
  {
    TerminalGuard guard(fds[0], fds[1], Restores::everything);
    guard.set_title("x");
    guard.set_tint(*find_tint("red"));
  }
  char byte = 0;
  EXPECT_EQ(::read(fds[0], &byte, 1), -1);
  ::close(fds[0]);
  ::close(fds[1]);
}

TEST(Title, K4_a_hostile_title_cannot_carry_a_sequence_of_its_own) {
  EXPECT_EQ(title_sequence("a\x1b]52;c;eA==\x07").find("\x1b]52"), std::string::npos);
}

TEST(Tint, has_the_colours_of_the_manual_and_no_others) {
  for (const char* name : {"red", "green", "yellow", "blue", "magenta", "cyan", "white", "bright-red", "bright-white"})
    EXPECT_TRUE(find_tint(name)) << name;
  EXPECT_FALSE(find_tint("pink"));
  EXPECT_FALSE(find_tint(""));
}

TEST(Picker, narrows_with_prefixes_first_and_moves_within_the_matches) {
  PickerModel model({"docs-writer", "fixer", "reviewer", "writer"});
  for (const char c : std::string("wri")) model.press({Key::character, c});
  EXPECT_EQ(model.matches(), (std::vector<std::string>{"writer", "docs-writer"}));
  EXPECT_EQ(model.choice(), "writer");
  model.press({Key::down});
  model.press({Key::down});
  EXPECT_EQ(model.choice(), "docs-writer");
  model.press({Key::up});
  EXPECT_EQ(model.choice(), "writer");
  model.press({Key::clear});
  EXPECT_EQ(model.matches().size(), 4U);
  for (const char c : std::string("rvw")) model.press({Key::character, c});
  EXPECT_EQ(model.choice(), "reviewer") << "letters in order";
  model.press({Key::character, '!'});
  EXPECT_FALSE(model.choice());
  model.press({Key::backspace});
  EXPECT_EQ(model.choice(), "reviewer");
}

TEST(Picker, shows_the_selected_line_in_any_height) {
  std::vector<std::string> items;
  for (int i = 0; i < 50; ++i) items.push_back("agent-" + std::to_string(i));
  PickerModel model(items);
  for (int i = 0; i < 30; ++i) model.press({Key::down});
  const auto lines = model.lines(5, 80);
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_EQ(lines.back(), "> agent-30");
}

TEST(Picker, reads_keys_as_terminals_send_them) {
  std::string_view bytes = "a\x1b[B\x1bOA\x7f\x15\r\x03";
  EXPECT_EQ(take_key(bytes).character, 'a');
  EXPECT_EQ(take_key(bytes).key, Key::down);
  EXPECT_EQ(take_key(bytes).key, Key::up);
  EXPECT_EQ(take_key(bytes).key, Key::backspace);
  EXPECT_EQ(take_key(bytes).key, Key::clear);
  EXPECT_EQ(take_key(bytes).key, Key::enter);
  EXPECT_EQ(take_key(bytes).key, Key::cancel);
  EXPECT_TRUE(bytes.empty());
  std::string_view escape = "\x1b";
  EXPECT_EQ(take_key(escape).key, Key::cancel);
  std::string_view unknown = "\x1b[15~x";
  EXPECT_EQ(take_key(unknown).key, Key::none);
  EXPECT_EQ(take_key(unknown).character, 'x');
}

TEST(Progress, says_each_step_on_a_line_where_there_is_no_terminal_and_nothing_when_quiet) {
  std::array<int, 2> fds{};
  ASSERT_EQ(::pipe2(fds.data(), O_NONBLOCK), 0);
  EXPECT_EQ(Progress::style_for(fds[1], false), Progress::Style::plain);
  EXPECT_EQ(Progress::style_for(fds[1], true), Progress::Style::none);
  {
    Progress progress(Progress::Style::plain, fds[1]);
    progress.begin("sidecar");
    progress.end(Progress::Outcome::done);
    progress.begin("bottle");
    progress.end(Progress::Outcome::failed);
    Progress silent(Progress::Style::none, fds[1]);
    silent.begin("never");
    silent.end(Progress::Outcome::failed);
  }
  std::array<char, 256> buffer{};
  const ssize_t got = ::read(fds[0], buffer.data(), buffer.size());
  ASSERT_GT(got, 0);
  EXPECT_EQ(std::string(buffer.data(), static_cast<std::size_t>(got)), "sidecar ...\nbottle ...\nbottle failed\n");
  ::close(fds[0]);
  ::close(fds[1]);
}

TEST(Progress, a_long_step_moves_on_a_terminal_and_leaves_one_line) {
  const Pty pty;
  EXPECT_EQ(Progress::style_for(pty.slave.get(), false), Progress::Style::live);
  Progress progress(Progress::Style::live, pty.slave.get());
  progress.begin("image");
  progress.update(410, "Step 4/9");
  EXPECT_NE(pty.read_until("Step 4/9").find("41%"), std::string::npos);
  progress.end(Progress::Outcome::done);
  EXPECT_NE(pty.read_until("✓").find("✓"), std::string::npos);
}

TEST(Progress, K4_build_output_cannot_move_the_cursor) {
  const std::string line =
      format_step_line("x", "image", std::chrono::milliseconds(1500), 1001, "\x1b[2J\x1b[31mred", 80);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
  EXPECT_NE(line.find("1.5s"), std::string::npos);
  EXPECT_LE(format_step_line("x", "image", std::chrono::milliseconds(0), 1001, std::string(500, 'y'), 40).size(), 42U);
}

}  // namespace
}  // namespace bot_bottle::tui
