// Bounds: descriptors never run out, and room is shared.
#include "sidecar/egress/house.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "sidecar/egress/held_octets.hpp"

namespace bot_bottle::egress {
namespace {

TEST(Bounds, connections_and_upstreams_fit_into_the_descriptors_there_are) {
  for (const std::size_t descriptors : {16U, 64U, 96U, 256U, 1024U, 4096U, 20'000U, 65'536U, 1'000'000U}) {
    Bounds bounds;
    bounds.fit_into(descriptors);
    EXPECT_LT(bounds.connections + bounds.upstreams, descriptors) << descriptors;
    EXPECT_LE(bounds.opening, bounds.connections / 2) << descriptors;
    EXPECT_GE(bounds.opening, 1U) << descriptors;
    EXPECT_GE(bounds.upstreams, 1U) << descriptors;
  }
}

TEST(Bounds, ten_thousand_connections_fit_into_twenty_thousand_descriptors) {
  Bounds bounds;
  bounds.fit_into(20'000);
  EXPECT_GE(bounds.connections, 10'000U);
}

TEST(HeldOctets, what_all_guards_hold_together_has_a_bound) {
  constexpr std::size_t most = 1000;
  std::size_t sum = 0;
  std::vector<std::unique_ptr<HeldOctets>> exchanges;
  for (int i = 0; i < 4; ++i) {
    exchanges.push_back(std::make_unique<HeldOctets>(sum));
    EXPECT_TRUE(exchanges.back()->set(250, most));
  }
  EXPECT_EQ(sum, 1000U);
  HeldOctets late(sum);
  EXPECT_FALSE(late.set(1, most));
  // Who gives some of it up is not refused for what others hold.
  EXPECT_TRUE(exchanges[0]->set(249, most));
  EXPECT_TRUE(late.set(1, most));
  EXPECT_FALSE(exchanges[1]->set(251, most));
  exchanges.clear();
  EXPECT_EQ(sum, 1U);
  EXPECT_TRUE(late.set(most, most));
}

}  // namespace
}  // namespace bot_bottle::egress
