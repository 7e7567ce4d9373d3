// Terminal guard, progress display, picker: against pseudo-terminals where a terminal matters.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>

#include "core/base/text_width.hpp"
#include "core/base/unique_fd.hpp"
#include "core/tui/label_form.hpp"
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
  EXPECT_NE(text.find("\x1b]4;0;#0a1430\x1b\\"), std::string::npos);
  EXPECT_LT(text.find("\x1b]11;"), text.find("\x1b]111"));
  EXPECT_LT(text.find("\x1b]4;"), text.find("\x1b]104"));
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

TEST(TerminalGuard, a_signal_that_ends_this_process_restores_the_settings_and_one_that_others_handle_is_left_to_them) {
  for (const int number : {SIGTERM, SIGHUP, SIGINT}) {
    const Pty pty;
    const termios before = pty.settings();
    const pid_t child = ::fork();
    if (child == 0) {
      ::signal(number, SIG_DFL);
      TerminalGuard guard(pty.slave.get(), pty.slave.get(), Restores::settings);
      make_raw(pty.slave.get());
      ::raise(number);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == number) << status;
    EXPECT_EQ(pty.settings().c_lflag, before.c_lflag);
  }
  const Pty pty;
  const auto ours = [](int) {};
  ::signal(SIGTERM, ours);
  {
    const TerminalGuard guard(pty.slave.get(), pty.slave.get(), Restores::settings);
    struct sigaction now {};
    ::sigaction(SIGTERM, nullptr, &now);
    EXPECT_EQ(now.sa_handler, static_cast<void (*)(int)>(ours));
  }
  ::signal(SIGTERM, SIG_DFL);
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
  PickerModel model({{"docs-writer", ""}, {"fixer", ""}, {"reviewer", ""}, {"writer", ""}});
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
  std::vector<PickerItem> items;
  for (int i = 0; i < 50; ++i) items.push_back({"agent-" + std::to_string(i), ""});
  PickerModel model(items);
  for (int i = 0; i < 30; ++i) model.press({Key::down});
  const auto lines = model.lines(5, 80);
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_EQ(lines.back(), "> agent-30");
}

TEST(Picker, one_that_is_broken_says_so_and_cannot_be_chosen) {
  int reads = 0;
  PickerModel model({{"bad", ""}, {"good", ""}}, [&reads](const std::string& name) {
    ++reads;
    return PickerDetail{name + " it is", name == "bad" ? PickerDetail::Verdict::broken : PickerDetail::Verdict::usable};
  });
  EXPECT_EQ(model.detail().text, "bad it is");
  EXPECT_FALSE(model.choice());
  model.press({Key::down});
  EXPECT_EQ(model.choice(), "good");
  model.press({Key::up});
  EXPECT_FALSE(model.choice());
  EXPECT_EQ(reads, 2) << "each file once, and none that was never looked at";
}

TEST(Picker, K4_a_hostile_name_moves_no_cursor_and_no_line_is_too_wide) {
  PickerModel model({{"\x1b[2J" + std::string(200, 'x'), "\x1b]0;owned\x07" + std::string(300, 'y')}, {"a", "b"}});
  for (const std::size_t width : {20U, 79U})
    for (const std::string& line : model.lines(10, width)) {
      EXPECT_EQ(line.find('\x1b'), std::string::npos);
      EXPECT_LE(text_width(line), width);
    }
}

std::string fault_of(const std::string& label) {
  if (label == "taken") return "a bottle named 'taken' exists";
  return label.find(' ') == std::string::npos ? "" : "no spaces";
}

TEST(LabelForm, is_checked_at_each_key_and_shows_what_it_will_look_like) {
  LabelModel model({"", ""}, "fixer", fault_of);
  const Look plain{.color = false, .unicode = true};
  const auto line_of = [&](std::size_t at) { return model.lines(79, plain).at(at); };
  EXPECT_NE(line_of(1).find("  fixer "), std::string::npos);
  EXPECT_NE(line_of(2).find("a name is made"), std::string::npos);
  for (const char c : std::string("take")) model.press({Key::character, c});
  EXPECT_TRUE(model.fault().empty());
  model.press({Key::character, 'n'});
  EXPECT_NE(line_of(2).find("'taken' exists"), std::string::npos);
  EXPECT_NE(line_of(1).find("taken (fixer)"), std::string::npos);
  model.press({Key::backspace});
  EXPECT_TRUE(model.fault().empty());
  model.press({Key::right});
  EXPECT_EQ(model.value().color, "red");
  model.press({Key::left});
  model.press({Key::left});
  EXPECT_EQ(model.value().color, "bright-white");
  model.press({Key::right});
  EXPECT_EQ(model.value().color, "");
}

TEST(LabelForm, no_line_is_wider_than_the_terminal_and_colours_are_shown_only_where_wanted) {
  LabelModel model({std::string(80, 'l'), "blue"}, std::string(100, 'a'), fault_of);
  for (const std::size_t width : {24U, 40U, 79U})
    for (const std::string& line : model.lines(width, {})) {
      EXPECT_LE(text_width(line), width) << line;
      EXPECT_EQ(line.find('\x1b'), std::string::npos);
    }
  ::setenv("COLORTERM", "truecolor", 1);
  EXPECT_NE(model.lines(79, {.color = true}).at(1).find("48;2;10;20;48m"), std::string::npos);
  ::unsetenv("COLORTERM");
  ::setenv("TERM", "xterm", 1);
  EXPECT_NE(model.lines(79, {.color = true}).at(1).find("\x1b[30;44m"), std::string::npos);
}

TEST(Picker, reads_keys_as_terminals_send_them) {
  std::string_view tab = "\t\x1b[C\x1b[D\x1b[Z";
  for (const Key key : {Key::right, Key::right, Key::left, Key::left}) EXPECT_EQ(take_key(tab).key, key);
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
  ::setenv("TERM", "dumb", 1);
  EXPECT_EQ(Progress::style_for(pty.slave.get(), false), Progress::Style::plain) << "it cannot move its cursor";
  ::setenv("TERM", "xterm", 1);
  EXPECT_EQ(Progress::style_for(pty.slave.get(), false), Progress::Style::live);
  Progress progress(Progress::Style::live, pty.slave.get());
  progress.begin("image");
  progress.update(410, "Step 4/9");
  EXPECT_NE(pty.read_until("Step 4/9").find("41%"), std::string::npos);
  progress.end(Progress::Outcome::done);
  EXPECT_NE(pty.read_until("✓").find("✓"), std::string::npos);
}

TEST(Progress, a_build_has_a_window_of_its_last_lines_on_a_terminal_and_lines_elsewhere) {
  const Pty pty;
  {
    Progress progress(Progress::Style::live, pty.slave.get(), {.color = false, .unicode = true});
    progress.begin("image", Shows::log);
    for (int i = 1; i <= 20; ++i) progress.update(1001, "line " + std::to_string(i) + "\x1b[2J");
    const std::string drawn = pty.read_until("│ line 20\\x1b[2J");
    EXPECT_NE(drawn.find("│ line 15\\x1b[2J"), std::string::npos) << drawn;
    EXPECT_EQ(drawn.find("line 14"), std::string::npos);
    EXPECT_EQ(drawn.find("\x1b[2J"), std::string::npos) << "K4";
  }
  std::array<int, 2> fds{};
  ASSERT_EQ(::pipe2(fds.data(), O_NONBLOCK), 0);
  Progress progress(Progress::Style::plain, fds[1]);
  progress.begin("image", Shows::log);
  progress.update(1001, "Step 1/2");
  progress.begin("bottle");
  progress.update(1001, "copying");
  std::array<char, 256> buffer{};
  const ssize_t got = ::read(fds[0], buffer.data(), buffer.size());
  ASSERT_GT(got, 0);
  EXPECT_EQ(std::string(buffer.data(), static_cast<std::size_t>(got)), "image ...\n  Step 1/2\nbottle ...\n");
  ::close(fds[0]);
  ::close(fds[1]);
}

TEST(Progress, is_ascii_and_without_colours_where_these_are_not_wanted) {
  const Pty pty;
  Progress progress(Progress::Style::live, pty.slave.get(), {.color = false, .unicode = false});
  progress.begin("image", Shows::log);
  progress.update(410, "Step 4/9");
  std::string text = pty.read_until("Step 4/9");
  progress.end(Progress::Outcome::done);
  text += pty.read_until("+ image");
  EXPECT_TRUE(std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; })) << text;
  EXPECT_EQ(text.find("\x1b[3"), std::string::npos);
  EXPECT_NE(text.find("41%"), std::string::npos);
}

TEST(Progress, K4_build_output_cannot_move_the_cursor) {
  const std::string line =
      format_step_line("x", "image", std::chrono::milliseconds(1500), 1001, "\x1b[2J\x1b[31mred", 80);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
  EXPECT_NE(line.find("1.5s"), std::string::npos);
  EXPECT_LE(format_step_line("x", "image", std::chrono::milliseconds(0), 1001, std::string(500, 'y'), 40).size(), 42U);
  EXPECT_NE(format_step_line("x", "image", std::chrono::minutes(12), 1001, "", 40).find("12m 00s"), std::string::npos);
}

}  // namespace
}  // namespace bot_bottle::tui
