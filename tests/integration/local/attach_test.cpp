// The operator's end: terminals, pipes, sessions.
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <chrono>

#include "tests/integration/local/fixture.hpp"

namespace bot_bottle::test {
namespace {

class Attach : public LocalBackendTest {
 protected:
  struct Terminal {
    UniqueFd master;
    UniqueFd slave;
    pid_t pid = -1;
    std::string seen;
  };

  json::object request(std::vector<std::string> argv, bool tty) {
    return {{"schema", "bot-bottle.exec/1"},
            {"argv", to_array(argv)},
            {"env", {{"PATH", "/usr/bin:/bin"}, {"TERM", "xterm"}}},
            {"cwd", "/"},
            {"tty", tty},
            {"rows", 24},
            {"columns", 80}};
  }

  /// Starts what attach_argv says with a new terminal.
  Terminal start(const json::object& bottle, const json::object& exec) {
    const json::object attach = backend().attach_argv(bottle, exec);
    Terminal terminal;
    int master = -1;
    int slave = -1;
    winsize size{};
    size.ws_row = 33;
    size.ws_col = 101;
    EXPECT_EQ(::openpty(&master, &slave, nullptr, nullptr, &size), 0);
    terminal.master.reset(master);
    terminal.slave.reset(slave);
    ::fcntl(master, F_SETFD, FD_CLOEXEC);
    terminal.pid = spawn(attach, slave, slave, slave);
    return terminal;
  }

  static pid_t spawn(const json::object& attach, int in, int out, int err) {
    const std::vector<std::string> argv = get_strings(attach, "argv");
    const std::string env = "BB_ATTACH_REQUEST=" + get_string(*find_object(attach, "env"), "BB_ATTACH_REQUEST");
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    ::setsid();
    ::dup2(in, 0);
    ::dup2(out, 1);
    ::dup2(err, 2);
    if (::isatty(0) != 0) ::ioctl(0, TIOCSCTTY, 0);
    std::vector<char*> pointers;
    for (const std::string& argument : argv) pointers.push_back(const_cast<char*>(argument.c_str()));
    pointers.push_back(nullptr);
    std::array<char*, 2> environment{const_cast<char*>(env.c_str()), nullptr};
    ::execve(pointers[0], pointers.data(), environment.data());
    ::_exit(99);
  }

  static bool expect(Terminal& terminal, const std::string& text) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(8);
    while (terminal.seen.find(text) == std::string::npos) {
      if (std::chrono::steady_clock::now() > deadline) {
        ADD_FAILURE() << "waited for '" << text << "', saw: " << terminal.seen;
        return false;
      }
      pollfd entry{.fd = terminal.master.get(), .events = POLLIN, .revents = 0};
      if (::poll(&entry, 1, 100) <= 0) continue;
      std::array<char, 4096> bytes{};
      const ssize_t got = ::read(terminal.master.get(), bytes.data(), bytes.size());
      if (got > 0) terminal.seen.append(bytes.data(), static_cast<std::size_t>(got));
    }
    return true;
  }
  static void type(Terminal& terminal, const std::string& text) {
    ASSERT_EQ(::write(terminal.master.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  static int wait_for(pid_t pid) {
    int status = 0;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(8);
    while (::waitpid(pid, &status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > deadline) {
        ::kill(pid, SIGKILL);
        ADD_FAILURE() << "attach did not end";
      }
      ::usleep(2000);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }
  static bool is_cooked(const Terminal& terminal) {
    termios now{};
    EXPECT_EQ(::tcgetattr(terminal.slave.get(), &now), 0);
    return (now.c_lflag & ICANON) != 0 && (now.c_lflag & ECHO) != 0 && (now.c_lflag & ISIG) != 0;
  }
};

TEST_F(Attach, a_terminal_is_relayed_with_its_size_and_given_back) {
  const json::object bottle = launch();
  Terminal terminal = start(bottle, request({"/bin/sh"}, true));
  type(terminal, "stty size; tty\n");
  expect(terminal, "33 101");
  expect(terminal, "/dev/pts/0");
  EXPECT_FALSE(is_cooked(terminal));
  winsize size{};
  size.ws_row = 44;
  size.ws_col = 111;
  ASSERT_EQ(::ioctl(terminal.master.get(), TIOCSWINSZ, &size), 0);
  EXPECT_TRUE(soon([&] {
    type(terminal, "stty size\n");
    pollfd entry{.fd = terminal.master.get(), .events = POLLIN, .revents = 0};
    ::poll(&entry, 1, 200);
    std::array<char, 4096> bytes{};
    const ssize_t got = ::read(terminal.master.get(), bytes.data(), bytes.size());
    if (got > 0) terminal.seen.append(bytes.data(), static_cast<std::size_t>(got));
    return terminal.seen.find("44 111") != std::string::npos;
  }));
  type(terminal, "exit 7\n");
  EXPECT_EQ(wait_for(terminal.pid), 7);
  EXPECT_TRUE(is_cooked(terminal));
}

TEST_F(Attach, control_c_goes_to_the_program_and_not_to_the_relay) {
  const json::object bottle = launch();
  Terminal terminal = start(
      bottle,
      request({"/bin/sh", "-c", "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.05; done"}, true));
  expect(terminal, "ready");
  type(terminal, "\x03");
  expect(terminal, "caught");
  EXPECT_EQ(wait_for(terminal.pid), 5);
}

TEST_F(Attach, the_terminal_is_given_back_when_the_relay_or_the_bottle_is_ended) {
  const json::object bottle = launch();
  Terminal first = start(bottle, request({"/bin/sh", "-c", "echo ready; sleep 86868"}, true));
  expect(first, "ready");
  ::kill(first.pid, SIGTERM);
  EXPECT_EQ(wait_for(first.pid), 128 + SIGTERM);
  EXPECT_TRUE(is_cooked(first));
  EXPECT_TRUE(soon([] { return processes_with("86868") == 0; }));
  Terminal second = start(bottle, request({"/bin/sh", "-c", "echo ready; sleep 86868"}, true));
  expect(second, "ready");
  backend().stop(bottle);
  EXPECT_THAT(wait_for(second.pid), ::testing::AnyOf(125, 128 + SIGTERM));  // whichever is seen first
  EXPECT_TRUE(is_cooked(second));
}

TEST_F(Attach, without_a_terminal_pipes_are_relayed) {
  const json::object bottle = launch();
  const json::object attach = backend().attach_argv(
      bottle, request({"/bin/sh", "-c", "cat; echo err >&2; ls -l /proc/self/fd/0; exit 9"}, false));
  std::array<int, 2> in{};
  std::array<int, 2> out{};
  std::array<int, 2> err{};
  for (auto* pipe : {&in, &out, &err}) ASSERT_EQ(::pipe2(pipe->data(), O_CLOEXEC), 0);
  const pid_t pid = spawn(attach, in[0], out[1], err[1]);
  for (const int fd : {in[0], out[1], err[1]}) ::close(fd);
  ASSERT_EQ(::write(in[1], "input\n", 6), 6);
  ::close(in[1]);
  EXPECT_EQ(wait_for(pid), 9);
  std::array<char, 4096> bytes{};
  const std::string said(bytes.data(), static_cast<std::size_t>(::read(out[0], bytes.data(), bytes.size())));
  EXPECT_THAT(said, ::testing::StartsWith("input\n"));
  EXPECT_THAT(said, ::testing::HasSubstr("pipe:"));
  EXPECT_EQ(::read(err[0], bytes.data(), bytes.size()), 4);
  ::close(out[0]);
  ::close(err[0]);
}

TEST_F(Attach, a_program_that_is_not_there_is_127) {
  const json::object bottle = launch();
  Terminal terminal = start(bottle, request({"no-such-program"}, true));
  EXPECT_EQ(wait_for(terminal.pid), 127);
}

TEST_F(Attach, a_session_lives_on_without_a_terminal_and_is_attached_to_again) {
  const json::object bottle = launch();
  json::object exec = request({"/bin/sh"}, true);
  exec["session"] = "agent";
  Terminal first = start(bottle, exec);
  type(first,
       "number=42; echo first-$((1+1)); (until [ -e /tmp/go ]; do sleep 0.05; done; echo while-away-$((2+2)); "
       ">/tmp/said) &\n");
  expect(first, "first-2");
  {
    Terminal rival = start(bottle, exec);
    expect(rival, "somebody is attached");
    EXPECT_EQ(wait_for(rival.pid), 125);
  }
  ::kill(first.pid, SIGKILL);  // the operator's terminal is gone
  wait_for(first.pid);
  // What is said now must not be lost: the session writes with nobody there.
  EXPECT_EQ(shell(bottle, ">/tmp/go").code, 0);
  EXPECT_TRUE(soon([&] { return shell(bottle, "[ -e /tmp/said ]").code == 0; }));
  Terminal second = start(bottle, exec);
  expect(second, "while-away-4");
  type(second, "echo again-$number; exit 3\n");
  expect(second, "again-42");
  EXPECT_EQ(wait_for(second.pid), 3);
}

TEST_F(Attach, no_value_of_the_environment_is_on_the_command_line) {
  const json::object bottle = launch();
  json::object exec = request({"/bin/true"}, false);
  exec["env"].as_object()["TOKEN"] = "planted-value";
  for (const std::string& argument : get_strings(backend().attach_argv(bottle, exec), "argv"))
    EXPECT_EQ(argument.find("planted-value"), std::string::npos);
}

}  // namespace
}  // namespace bot_bottle::test
