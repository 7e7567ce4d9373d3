// A connection that is over: its place is somebody else's.
#include "sidecar/egress/client_connection.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>

#include "sidecar/egress/pool.hpp"

namespace bot_bottle::egress {
namespace {

class NoResolver final : public net::Resolver {
 public:
  std::unique_ptr<net::Lookup> resolve(const std::string&, net::OnAddresses) override { return nullptr; }
};

class CountingKeeper final : public ClientConnection::Keeper {
 public:
  void on_standing(ClientConnection&, Standing) override { (over_ ? late : early) += 1; }
  void on_over(ClientConnection&) override { over_ = true; }
  int early = 0;
  int late = 0;

 private:
  bool over_ = false;
};

TEST(ClientConnection, what_ends_after_it_is_over_moves_it_to_no_other_place) {
  net::Loop loop;
  NoResolver resolver;
  EventLog log(loop, "/dev/null", 0);
  House house(loop, log, resolver);
  Pool pool(house);
  house.pool = &pool;
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), 0);
  const UniqueFd agent(ends[0]);
  auto stream = net::Stream::adopt(loop, UniqueFd(ends[1]));
  ASSERT_TRUE(stream);
  CountingKeeper keeper;
  ClientConnection connection(house, std::move(*stream), keeper, Standing::opening);
  connection.on_standing(Standing::busy);
  EXPECT_EQ(keeper.early, 1);
  connection.on_failure("gone");
  connection.on_standing(Standing::idle);
  connection.on_standing(Standing::busy);
  EXPECT_EQ(keeper.late, 0);
}

}  // namespace
}  // namespace bot_bottle::egress
