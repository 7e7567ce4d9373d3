#include "sidecar/guest/protocol.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

namespace bot_bottle::guest {
namespace {

Request sample() {
  Request request;
  request.tty = true;
  request.rows = 50;
  request.columns = 300;
  request.session = "agent";
  request.cwd = "/workspace";
  request.argv = {"sh", "-c", ""};
  request.env = {"A=1", "B="};
  return request;
}

struct Pair {
  UniqueFd a;
  UniqueFd b;
};
Pair make_pair() {
  std::array<int, 2> ends{};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

TEST(Protocol, a_request_comes_back_as_it_was) {
  std::string payload;
  ASSERT_TRUE(encode(sample(), payload));
  Request back;
  ASSERT_TRUE(decode(payload, back));
  EXPECT_EQ(back.argv, sample().argv);
  EXPECT_EQ(back.env, sample().env);
  EXPECT_EQ(back.columns, 300);
  EXPECT_EQ(back.session, "agent");
  EXPECT_TRUE(back.tty);
  EXPECT_FALSE(back.detached);
}

TEST(Protocol, every_truncation_and_every_addition_is_refused) {
  std::string payload;
  ASSERT_TRUE(encode(sample(), payload));
  Request back;
  for (std::size_t size = 0; size < payload.size(); ++size)
    EXPECT_FALSE(decode(std::string_view(payload).substr(0, size), back)) << size;
  EXPECT_FALSE(decode(payload + "x", back));
  payload[0] = 2;
  EXPECT_FALSE(decode(payload, back));
}

TEST(Protocol, a_count_that_lies_allocates_nothing) {
  std::string payload{"\x01\x00\x00\x00\x00\x00\x00\x00", 8};
  payload += "\xff\xff\xff\xff";
  Request back;
  EXPECT_FALSE(decode(payload, back));
}

TEST(Protocol, a_nul_byte_cannot_be_carried) {
  Request request = sample();
  request.argv.emplace_back(std::string("a\0b", 3));
  std::string payload;
  EXPECT_FALSE(encode(request, payload));
}

TEST(Protocol, frames_and_descriptors_cross_a_socket) {
  const Pair pair = make_pair();
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_TRUE(send_frame(pair.a.get(), FrameType::started, "payload", std::span<const int>(&null, 1)));
  ASSERT_TRUE(send_frame(pair.a.get(), FrameType::exited, encode_u32(7)));
  ::close(null);
  FrameReader reader;
  Frame frame;
  while (reader.next(frame) != FrameReader::Got::frame)
    ASSERT_EQ(reader.receive(pair.b.get()), FrameReader::Got::frame);
  EXPECT_EQ(frame.payload, "payload");
  EXPECT_EQ(reader.take_fds().size(), 1U);
  while (reader.next(frame) != FrameReader::Got::frame)
    ASSERT_EQ(reader.receive(pair.b.get()), FrameReader::Got::frame);
  std::uint32_t code = 0;
  EXPECT_TRUE(decode_u32(frame.payload, code));
  EXPECT_EQ(code, 7U);
}

TEST(Protocol, a_frame_that_is_too_long_ends_the_connection) {
  const Pair pair = make_pair();
  ASSERT_EQ(::write(pair.a.get(), "\xff\xff\xff\x7f\x01", 5), 5);
  FrameReader reader;
  Frame frame;
  reader.receive(pair.b.get());
  EXPECT_EQ(reader.next(frame), FrameReader::Got::ended);
}

TEST(Protocol, a_socket_may_lie_deeper_than_sun_path) {
  std::string directory = "/tmp/bb-deep-XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  const std::string top = directory;
  for (int i = 0; i < 5; ++i) {
    directory += "/" + std::string(60, 'd');
    ASSERT_EQ(::mkdir(directory.c_str(), 0700), 0);
  }
  const UniqueFd listener(listen_unix(directory + "/s"));
  ASSERT_TRUE(listener);
  struct stat status {};
  ASSERT_EQ(::stat((directory + "/s").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_TRUE(UniqueFd(connect_unix(directory + "/s")));
  ::unlink((directory + "/s").c_str());
  for (; directory != top; directory = directory.substr(0, directory.rfind('/'))) ::rmdir(directory.c_str());
  ::rmdir(top.c_str());
}

}  // namespace
}  // namespace bot_bottle::guest
