// Who gets a place at bottle-init's exec server when the agent, which can reach it, takes all that it can get.
#include "sidecar/guest/exec_server.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/unique_fd.hpp"

namespace bot_bottle::guest {
namespace {

constexpr int patience_ms = 20'000;

struct Pipe {
  UniqueFd read;
  UniqueFd write;
  Pipe() {
    std::array<int, 2> ends{-1, -1};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
};

bool is_readable(int fd) {
  pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&entry, 1, patience_ms) == 1;
}

/// A client with its program's ends.
struct Session {
  UniqueFd socket;
  Pipe in;
  Pipe out;
  Pipe err;
  FrameReader reader;

  bool ask(const std::vector<std::string>& argv) {
    Request request;
    request.argv = argv;
    request.env = {"PATH=/usr/bin:/bin"};
    request.cwd = "/";
    std::string payload;
    const std::array<int, 3> passed{in.read.get(), out.write.get(), err.write.get()};
    return encode(request, payload) && send_frame(socket.get(), FrameType::request, payload, passed);
  }
  /// Nothing at the end of the connection, or when none comes.
  std::optional<Frame> next() {
    Frame frame;
    while (reader.next(frame) != FrameReader::Got::frame)
      if (!is_readable(socket.get()) || reader.receive(socket.get()) == FrameReader::Got::ended) return std::nullopt;
    return frame;
  }
  bool is_started() {
    const auto frame = next();
    return frame && frame->type == FrameType::started;
  }
  /// Of a program that ends by itself; -1: it did not run, or did not say how it ended.
  int code_of(const std::vector<std::string>& argv) {
    std::uint32_t code = 0;
    if (!ask(argv) || !is_started()) return -1;
    const auto frame = next();
    return frame && frame->type == FrameType::exited && decode_u32(frame->payload, code) ? static_cast<int>(code) : -1;
  }
};

/// The server in a process of its own, and below it, as an agent would be, one that does what a test says.
class ExecServerTest : public testing::Test {
 protected:
  using Agent = std::function<char()>;  // its answer is the test's to read

  void start(const Agent& agent) {
    UniqueFd listener(listen_abstract(name_));
    ASSERT_TRUE(listener);
    server_ = ::fork();
    ASSERT_GE(server_, 0);
    if (server_ == 0) serve(std::move(listener), agent);
  }
  void TearDown() override {
    if (server_ <= 0) return;
    ::kill(server_, SIGKILL);
    ::waitpid(server_, nullptr, 0);
  }
  [[nodiscard]] UniqueFd connect() const { return UniqueFd(connect_abstract(name_)); }
  [[nodiscard]] Session open() const {
    Session session;
    session.socket = connect();
    return session;
  }
  std::vector<UniqueFd> connect_silently(std::size_t count) const {
    std::vector<UniqueFd> sockets;
    for (std::size_t i = 0; i < count; ++i) sockets.push_back(connect());
    return sockets;
  }
  /// What the agent does from here on comes after what the test did.
  void let_the_agent_begin() { ASSERT_EQ(::write(begin_.write.get(), "x", 1), 1); }
  void wait_for_begin() const {
    char octet = 0;
    if (::read(begin_.read.get(), &octet, 1) != 1) ::_exit(1);
  }
  char answer_of_agent() {
    char answer = 0;
    return is_readable(answer_.read.get()) && ::read(answer_.read.get(), &answer, 1) == 1 ? answer : 0;
  }

 private:
  [[noreturn]] void serve(UniqueFd listener, const Agent& agent) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      listener.reset();
      const char answer = agent();
      if (::write(answer_.write.get(), &answer, 1) == 1)
        while (true) ::pause();  // what it has open stays open
      ::_exit(1);
    }
    sigset_t children;
    ::sigemptyset(&children);
    ::sigaddset(&children, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &children, nullptr);
    const UniqueFd signals(::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK));
    Loop loop;
    ExecServer server(loop, std::move(listener), {}, UniqueFd());
    loop.add(signals.get(), EPOLLIN, [&](std::uint32_t) {
      signalfd_siginfo info{};
      while (::read(signals.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      }
      int status = 0;
      for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) server.on_exit(pid, status);
    });
    loop.run();
  }

  std::string name_ = "bb-exec-server-test-" + std::to_string(::getpid());
  Pipe begin_;
  Pipe answer_;
  pid_t server_ = -1;
};

TEST_F(ExecServerTest, clients_of_the_bottle_that_say_nothing_do_not_keep_the_operator_out) {
  std::vector<UniqueFd> held;
  start([&] {
    held = connect_silently(64);
    return 'y';
  });
  ASSERT_EQ(answer_of_agent(), 'y');
  EXPECT_EQ(open().code_of({"true"}), 0);
}

TEST_F(ExecServerTest, programs_that_the_bottle_starts_do_not_either_and_the_one_too_many_is_told_why) {
  std::vector<Session> held;
  start([&] {
    for (int i = 0; i < 80; ++i) {
      held.push_back(open());
      held.back().ask({"cat"});  // ends with its input, which ends with this process
      const auto frame = held.back().next();
      if (!frame) return 'm';  // mute
      if (frame->type == FrameType::started) continue;
      const bool told = frame->type == FrameType::failed && frame->payload.find("as many") != std::string::npos;
      return told && i > 0 ? 'y' : 'n';
    }
    return 'a';  // it got all it wanted
  });
  ASSERT_EQ(answer_of_agent(), 'y');
  EXPECT_EQ(open().code_of({"true"}), 0);
}

TEST_F(ExecServerTest, the_bottle_throws_out_nobody_of_the_operators) {
  std::vector<UniqueFd> held;
  start([&] {
    wait_for_begin();
    held = connect_silently(200);
    return 'y';
  });
  Session silent = open();
  Session working = open();
  ASSERT_TRUE(working.ask({"cat"}) && working.is_started());
  let_the_agent_begin();
  ASSERT_EQ(answer_of_agent(), 'y');
  EXPECT_EQ(open().code_of({"true"}), 0) << "behind all of theirs";
  EXPECT_EQ(silent.code_of({"true"}), 0);
  ASSERT_EQ(::write(working.in.write.get(), "x", 1), 1);
  char echo = 0;
  ASSERT_TRUE(is_readable(working.out.read.get()));
  EXPECT_EQ(::read(working.out.read.get(), &echo, 1), 1);
  EXPECT_EQ(echo, 'x');
}

// Where the kernel does not tell who connects (gVisor), the operator is one of them.
TEST_F(ExecServerTest, among_equals_the_oldest_that_runs_nothing_gives_way_and_is_told_why) {
  std::vector<UniqueFd> held;
  start([&] {
    held = connect_silently(64);
    if (open().code_of({"true"}) != 0) return 'n';
    Session oldest;
    oldest.socket = std::move(held.front());
    const auto frame = oldest.next();
    return frame && frame->type == FrameType::failed ? 'y' : 'm';
  });
  EXPECT_EQ(answer_of_agent(), 'y');
}

}  // namespace
}  // namespace bot_bottle::guest
