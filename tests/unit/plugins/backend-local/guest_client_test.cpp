// A program in the bottle by the exec socket, where the bottle's end does what a hostile one would.
#include "plugins/backend-local/guest_client.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "core/base/random.hpp"
#include "core/base/unique_fd.hpp"
#include "sidecar/guest/protocol.hpp"

namespace bot_bottle::backend_local {
namespace {

/// The bottle's end of one connection, in a process of its own.
class GuestClientTest : public testing::Test {
 protected:
  using Serve = std::function<void(int socket)>;

  void start(const Serve& serve) {
    UniqueFd listener(guest::listen_unix(path_));
    ASSERT_TRUE(listener);
    server_ = ::fork();
    ASSERT_GE(server_, 0);
    if (server_ > 0) return;
    ::signal(SIGPIPE, SIG_IGN);
    const UniqueFd socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    serve(socket.get());
    ::_exit(0);
  }
  void TearDown() override {
    ::unlink(path_.c_str());
    if (server_ <= 0) return;
    ::kill(server_, SIGKILL);
    ::waitpid(server_, nullptr, 0);
  }
  Error error_of(const GuestRun& run) {
    auto done = run_in_guest(path_, run);
    if (!done) return std::move(done.error());
    ADD_FAILURE() << "it did not fail";
    return {};
  }

  std::string path_ = testing::TempDir() + "bb-exec-" + random_base36(8) + ".sock";
  pid_t server_ = -1;
};

TEST_F(GuestClientTest, a_program_that_writes_without_an_end_has_a_timeout_too) {
  start([](int socket) {
    guest::FrameReader reader;
    guest::Frame frame;
    while (reader.next(frame) != guest::FrameReader::Got::frame)
      if (reader.receive(socket) == guest::FrameReader::Got::ended) return;
    const std::vector<UniqueFd> fds = reader.take_fds();
    guest::send_frame(socket, guest::FrameType::started, guest::encode_u32(7));
    while (::write(fds.at(1).get(), "yyyyyyyy", 8) == 8) {
    }
  });
  GuestRun run;
  run.argv = {"du"};
  run.timeout = std::chrono::milliseconds(50);
  run.max_output = 10;
  EXPECT_EQ(error_of(run).kind, ErrorKind::timeout);
}

TEST_F(GuestClientTest, what_the_bottle_said_before_it_took_no_request_is_the_reason) {
  start([](int socket) {
    guest::send_frame(socket, guest::FrameType::failed, guest::encode_u32(EAGAIN) + "it serves as many as it can");
  });
  GuestRun run;
  run.argv = {"true"};
  run.env = {"LONG=" + std::string(std::size_t{1} << 20, 'x')};  // more than fits before somebody reads
  EXPECT_EQ(error_of(run).message, "true: it serves as many as it can");
}

}  // namespace
}  // namespace bot_bottle::backend_local
