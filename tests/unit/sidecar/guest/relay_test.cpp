// bottle-init's relay, between an operator and a server that are this test.
#include "sidecar/guest/relay.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

#include "core/base/unique_fd.hpp"
#include "sidecar/guest/protocol.hpp"

namespace bot_bottle::guest {
namespace {

TEST(Relay, what_the_server_said_before_it_took_no_request_is_passed_on) {
  const std::string name = "bb-relay-test-" + std::to_string(::getpid());
  const UniqueFd listener(listen_abstract(name));
  ASSERT_TRUE(listener);
  std::array<int, 2> in{};
  std::array<int, 2> out{};
  ASSERT_TRUE(::pipe2(in.data(), O_CLOEXEC) == 0 && ::pipe2(out.data(), O_CLOEXEC) == 0);
  const pid_t relay = ::fork();
  if (relay == 0) {
    ::dup2(in[0], 0);
    ::dup2(out[1], 1);
    ::_exit(run_relay(name));
  }
  const UniqueFd to_relay(in[1]);
  const UniqueFd from_relay(out[0]);
  ::close(out[1]);
  Request request;
  request.argv = {"true"};
  request.env = {"LONG=" + std::string(std::size_t{1} << 20, 'x')};  // more than fits before the server reads
  std::string payload;
  ASSERT_TRUE(encode(request, payload));
  std::string bytes = make_frame(FrameType::request, payload);
  while (!bytes.empty()) {
    const ssize_t put = ::write(to_relay.get(), bytes.data(), bytes.size());
    ASSERT_GT(put, 0);
    bytes.erase(0, static_cast<std::size_t>(put));
  }
  for (int left = 1; left > 0;) ASSERT_TRUE(::ioctl(in[0], FIONREAD, &left) == 0 && ::poll(nullptr, 0, 1) == 0);
  ::close(in[0]);
  {
    const UniqueFd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_TRUE(send_frame(connection.get(), FrameType::failed, encode_u32(EAGAIN) + "no place"));
  }
  FrameReader reader;
  std::array<char, 4096> part{};
  for (ssize_t got = 0; (got = ::read(from_relay.get(), part.data(), part.size())) > 0;)
    reader.append({part.data(), static_cast<std::size_t>(got)});
  Frame frame;
  EXPECT_EQ(reader.next(frame), FrameReader::Got::frame);
  EXPECT_EQ(frame.payload, encode_u32(EAGAIN) + "no place");
  ::waitpid(relay, nullptr, 0);
}

}  // namespace
}  // namespace bot_bottle::guest
