// Limits hold against a clock that the test brings.
#include "sidecar/egress/limits.hpp"

#include <gtest/gtest.h>

namespace bot_bottle::egress {
namespace {

policy::Route limited(std::optional<std::uint64_t> requests, std::optional<std::uint64_t> bytes) {
  policy::Route route;
  route.host = "a.example.com";
  route.limits.requests_per_minute = requests;
  route.limits.bytes_out_per_hour = bytes;
  return route;
}

TEST(Limits, requests_fill_up_evenly) {
  LimitKeeper keeper;
  const policy::Route route = limited(60, std::nullopt);
  for (int i = 0; i < 60; ++i) EXPECT_TRUE(keeper.take_request(route, 1000)) << i;
  EXPECT_FALSE(keeper.take_request(route, 1000));
  EXPECT_FALSE(keeper.take_request(route, 1900));
  EXPECT_TRUE(keeper.take_request(route, 2100));
  EXPECT_FALSE(keeper.take_request(route, 2200));
}

TEST(Limits, bytes_are_those_of_the_last_hour) {
  LimitKeeper keeper;
  const policy::Route route = limited(std::nullopt, 1000);
  constexpr std::uint64_t minute = 60'000;
  EXPECT_TRUE(keeper.take_bytes(route, 600, 0));
  EXPECT_TRUE(keeper.take_bytes(route, 400, 30 * minute));
  EXPECT_FALSE(keeper.take_bytes(route, 1, 59 * minute));
  EXPECT_TRUE(keeper.take_bytes(route, 600, 61 * minute));
  EXPECT_FALSE(keeper.take_bytes(route, 1, 61 * minute));
  EXPECT_TRUE(keeper.take_bytes(route, 1000, 1000 * minute));
  EXPECT_FALSE(keeper.take_bytes(route, ~std::uint64_t{0}, 5000 * minute));
}

TEST(Limits, a_route_without_limits_has_none_and_hosts_do_not_share) {
  LimitKeeper keeper;
  EXPECT_TRUE(keeper.take_bytes(limited(std::nullopt, std::nullopt), ~std::uint64_t{0}, 0));
  policy::Route other = limited(1, std::nullopt);
  other.host = "b.example.com";
  EXPECT_TRUE(keeper.take_request(limited(1, std::nullopt), 0));
  EXPECT_TRUE(keeper.take_request(other, 0));
  EXPECT_FALSE(keeper.take_request(other, 0));
}

}  // namespace
}  // namespace bot_bottle::egress
