#include "sidecar/egress/grants.hpp"

#include <gtest/gtest.h>

#include "core/base/clock.hpp"

namespace bot_bottle::egress {
namespace {

std::shared_ptr<Grant> grant_for(const char* host) {
  policy::Egress egress;
  egress.routes.emplace_back().host = host;
  auto grant = std::make_shared<Grant>();
  grant->id = "x";
  grant->table = or_throw(policy::RouteTable::create(std::move(egress)));
  return grant;
}

policy::RequestView request_to(const char* host, const policy::Target& target) {
  policy::RequestView view;
  view.host = host;
  view.method = "GET";
  view.target = &target;
  return view;
}

TEST(Grants, the_last_request_is_written_down_before_it_passes) {
  Grants grants;
  int spent = 0;
  grants.set_on_spent([&](Grant&) { return ++spent > 0; });
  const auto grant = grant_for("a.example.com");
  grant->requests = 2;
  grants.set({grant});
  EXPECT_TRUE(grants.take_request(*grant, 0));
  EXPECT_EQ(spent, 0);
  EXPECT_TRUE(grants.take_request(*grant, 0));
  EXPECT_EQ(spent, 1);
  EXPECT_FALSE(grants.take_request(*grant, 0));
}

TEST(Grants, what_cannot_be_written_down_does_not_pass) {
  Grants grants;
  grants.set_on_spent([](Grant&) { return false; });
  const auto grant = grant_for("a.example.com");
  grant->requests = 1;
  EXPECT_FALSE(grants.take_request(*grant, 0));
}

TEST(Grants, a_machine_that_slept_lengthens_nothing) {
  const policy::Target target = or_throw(policy::normalise_target("/"));
  Grants grants;
  const auto grant = grant_for("a.example.com");
  grant->until_ms = 1'000'000;  // far away by the clock that stood still
  grant->until_wall_ms = now_ms() + 60'000;
  grants.set({grant});
  EXPECT_TRUE(grants.find(request_to("a.example.com", target), 0));
  grant->until_wall_ms = now_ms() - 1;
  EXPECT_FALSE(grants.find(request_to("a.example.com", target), 0));
  EXPECT_FALSE(grants.take_octets(*grant, 1, 0));
}

TEST(Grants, octets_are_counted_to_the_last_one) {
  Grants grants;
  int spent = 0;
  grants.set_on_spent([&](Grant&) { return ++spent > 0; });
  const auto grant = grant_for("a.example.com");
  grant->octets = 10;
  EXPECT_TRUE(grants.take_octets(*grant, 4, 0));
  EXPECT_TRUE(grants.take_octets(*grant, 6, 0));
  EXPECT_FALSE(grants.take_octets(*grant, 1, 0));
  EXPECT_EQ(spent, 1);
  const auto other = grant_for("a.example.com");
  other->octets = 10;
  EXPECT_FALSE(grants.take_octets(*other, 11, 0));
}

TEST(Grants, time_ends_one_and_only_its_own_requests_pass) {
  Grants grants;
  const auto grant = grant_for("a.example.com");
  grant->until_ms = 100;
  grants.set({grant});
  const policy::Target target = or_throw(policy::normalise_target("/"));
  EXPECT_EQ(grants.find(request_to("a.example.com", target), 99), grant);
  EXPECT_EQ(grants.find(request_to("b.example.com", target), 99), nullptr);
  EXPECT_EQ(grants.find(request_to("a.example.com", target), 100), nullptr);
  EXPECT_TRUE(grants.allows_connect("a.example.com", 443, 99));
  EXPECT_FALSE(grants.allows_connect("a.example.com", 443, 100));
  EXPECT_FALSE(grants.take_request(*grant, 100));
  EXPECT_TRUE(grants.take_octets(*grant, 1, 99));
  EXPECT_FALSE(grants.take_octets(*grant, 1, 100)) << "what began in time must not outlive it";
}

}  // namespace
}  // namespace bot_bottle::egress
