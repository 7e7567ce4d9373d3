// Owners of libuv's handles may go at any time; connecting tries one address after the other.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/file.hpp"
#include "sidecar/net/connector.hpp"
#include "sidecar/net/timer.hpp"

namespace bot_bottle::net {
namespace {

struct Recorder : StreamHandler {
  void on_bytes(std::string_view bytes) override { text.append(bytes); }
  void on_end() override { ended = true; }
  void on_failure(int) override { failed = true; }
  void on_drained() override { drained = true; }
  std::string text;
  bool ended = false;
  bool failed = false;
  bool drained = false;
};

std::pair<UniqueFd, UniqueFd> socket_pair() {
  int fds[2] = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

TEST(Net, a_stream_carries_bytes_and_the_end) {
  Loop loop;
  auto [left, right] = socket_pair();
  Recorder recorder;
  Stream a = Stream::adopt(loop, std::move(left)).value();
  Stream b = Stream::adopt(loop, std::move(right)).value();
  b.set_handler(&recorder);
  b.start_reading();
  std::string big(3'000'000, 'x');
  ASSERT_EQ(a.write(big), 0);
  EXPECT_GT(a.unsent(), 0U);
  a.finish();
  while (!recorder.ended) loop.run_once();
  EXPECT_EQ(recorder.text.size(), 3'000'000U);
}

TEST(Net, destroying_a_stream_with_queued_bytes_is_silent) {
  Loop loop;
  auto [left, right] = socket_pair();
  Recorder recorder;
  {
    Stream a = Stream::adopt(loop, std::move(left)).value();
    a.set_handler(&recorder);
    a.start_reading();
    std::string big(3'000'000, 'x');
    ASSERT_EQ(a.write(big), 0);
  }
  loop.run();
  EXPECT_FALSE(recorder.failed || recorder.drained || recorder.ended);
}

TEST(Net, a_timer_that_is_moved_fires_once_at_its_last_time) {
  Loop loop;
  int fired = 0;
  Timer timer(loop, [&] { ++fired; });
  timer.set(std::chrono::milliseconds(5));
  timer.set(std::chrono::milliseconds(20));
  const std::uint64_t begin = loop.now_ms();
  while (fired == 0) loop.run_once();
  EXPECT_GE(loop.now_ms() - begin, 20U);
  EXPECT_EQ(fired, 1);
  loop.run();
  EXPECT_EQ(fired, 1);
}

TEST(Net, connecting_goes_on_to_the_next_address) {
  Loop loop;
  UniqueFd server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  auto here = Address::parse("127.0.0.1", 0).value();
  ASSERT_EQ(::bind(server.get(), here.raw(), sizeof(sockaddr_in)), 0);
  ASSERT_EQ(::listen(server.get(), 5), 0);
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  ::getsockname(server.get(), reinterpret_cast<sockaddr*>(&bound), &size);
  auto good = Address::from(reinterpret_cast<sockaddr*>(&bound)).value();
  UniqueFd closed(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  auto refused = Address::parse("127.0.0.1", 0).value();
  ASSERT_EQ(::bind(closed.get(), refused.raw(), sizeof(sockaddr_in)), 0);
  size = sizeof bound;
  ::getsockname(closed.get(), reinterpret_cast<sockaddr*>(&bound), &size);
  refused = Address::from(reinterpret_cast<sockaddr*>(&bound)).value();

  bool done = false;
  std::string address;
  Connecting connecting(loop, {refused, good}, std::chrono::milliseconds(10'000),
                        [&](Result<Connecting::Connected> result) {
                          done = true;
                          ASSERT_TRUE(result);
                          address = result->address.text();
                        });
  EXPECT_FALSE(done);  // never from inside the call
  while (!done) uv_run(loop.raw(), UV_RUN_NOWAIT);
  EXPECT_EQ(address, good.text());
}

TEST(Net, connecting_to_nothing_is_an_error_and_giving_up_is_silent) {
  Loop loop;
  bool done = false;
  Connecting none(loop, {}, std::chrono::milliseconds(1000), [&](Result<Connecting::Connected> result) {
    done = true;
    EXPECT_FALSE(result);
  });
  while (!done) uv_run(loop.raw(), UV_RUN_NOWAIT);
  {
    const Connecting dropped(loop, {Address::parse("127.0.0.1", 9).value()}, std::chrono::milliseconds(1000),
                             [&](Result<Connecting::Connected>) { ADD_FAILURE() << "it was given up"; });
  }
  loop.run();
}

TEST(Net, addresses_are_what_they_say) {
  EXPECT_EQ(Address::parse("192.0.2.1", 443)->text(), "192.0.2.1:443");
  EXPECT_EQ(Address::parse("2001:db8::1", 443)->text(), "[2001:db8::1]:443");
  EXPECT_EQ(Address::parse("::1", 1)->octets().size(), 16U);
  EXPECT_FALSE(Address::parse("127.1", 1));
}

}  // namespace
}  // namespace bot_bottle::net
