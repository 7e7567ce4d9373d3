#include "core/policy/asked_route.hpp"

#include <gtest/gtest.h>

#include "core/policy/decide.hpp"
#include "core/policy/packs.hpp"

namespace bot_bottle::policy {
namespace {

Route asked(std::string_view text) {
  return or_throw(parse_asked_route(or_throw(parse_json_object(text))));
}

Egress live(std::string_view text) {
  return parse_egress(or_throw(parse_json(text))).egress;
}

bool allows(const Egress& egress, std::string_view method, std::string_view host, std::string_view path) {
  const auto table = or_throw(RouteTable::create(egress));
  const Target target = or_throw(normalise_target(path));
  RequestView request;
  request.host = host;
  request.method = method;
  request.target = &target;
  return table->decide(request).allowed();
}

TEST(AskedRoute, only_host_matches_and_fetch_can_be_asked_for) {
  for (const char* more : {R"("auth":{"scheme":"Bearer","token_ref":"X"})", R"("ports":[22])", R"("tls":"passthrough")",
                           R"("dlp":{})", R"("plain":true)", R"("limits":{})", R"("foreign_credentials":"strip")"}) {
    const auto document = or_throw(parse_json_object(std::string(R"({"host":"a.example.com",)") + more + "}"));
    EXPECT_FALSE(parse_asked_route(document)) << more;
  }
  EXPECT_FALSE(parse_asked_route({{"host", "a.example.com"}, {"matches", json::array{}}})) << "nothing (I1)";
  EXPECT_FALSE(parse_asked_route({{"host", "10.0.0.1"}}));
  EXPECT_FALSE(parse_asked_route(
      {{"host", "a.example.com"},
       {"matches", json::array{{{"headers", json::array{{{"name", "x"}, {"value", "\xe2\x80\xae"}}}}}}}}));
}

TEST(AskedRoute, a_new_host_comes_without_a_credential) {
  Route route = asked(R"({"host":"a.example.com"})");
  route.auth.emplace().token_ref = "X";  // whoever calls: never from here
  const Egress merged = or_throw(merge_route({}, route));
  ASSERT_EQ(merged.routes.size(), 1U);
  EXPECT_FALSE(merged.routes[0].auth);
}

TEST(AskedRoute, matches_are_united_and_never_crossed) {
  const Egress before = live(R"({"routes":[{"host":"a.example.com","auth":{"scheme":"Bearer","token_ref":"X"},
    "matches":[{"methods":["GET"],"paths":[{"type":"prefix","value":"/r"}]}]}]})");
  const Egress after = or_throw(merge_route(
      before,
      asked(R"({"host":"a.example.com","matches":[{"methods":["POST"],"paths":[{"type":"prefix","value":"/w"}]}]})")));
  EXPECT_TRUE(allows(after, "GET", "a.example.com", "/r/1"));
  EXPECT_TRUE(allows(after, "POST", "a.example.com", "/w/1"));
  EXPECT_FALSE(allows(after, "POST", "a.example.com", "/r/1"));
  EXPECT_FALSE(allows(after, "GET", "a.example.com", "/w/1"));
  EXPECT_EQ(after.routes[0].auth->token_ref, "X");
}

TEST(AskedRoute, merging_never_takes_something_away_and_twice_is_once) {
  const Egress open = live(R"({"routes":[{"host":"a.example.com"}]})");
  const Route narrow = asked(R"({"host":"a.example.com","matches":[{"methods":["GET"]}]})");
  EXPECT_TRUE(allows(or_throw(merge_route(open, narrow)), "POST", "a.example.com", "/"));
  const Egress none = live(R"({"routes":[{"host":"a.example.com","matches":[]}]})");
  EXPECT_TRUE(allows(or_throw(merge_route(none, narrow)), "GET", "a.example.com", "/"));
  EXPECT_FALSE(allows(or_throw(merge_route(none, narrow)), "POST", "a.example.com", "/"));
  const Egress once = or_throw(merge_route(none, narrow));
  EXPECT_EQ(to_json(or_throw(merge_route(once, narrow))), to_json(once));
  const Egress tunnel = live(R"({"routes":[{"host":"a.example.com","tls":"passthrough"}]})");
  EXPECT_FALSE(merge_route(tunnel, narrow));
}

TEST(AskedRoute, a_pack_covers_what_lies_inside_it_and_nothing_else) {
  Problems problems;
  const auto covered = [&](std::string_view text) {
    const Route route = asked(text);
    for (const Route& allowed : expand_pack({.name = "github:read", .repositories = {"octo/tool"}}, "p", problems))
      if (covers(allowed, route)) return true;
    return false;
  };
  const auto on_api = [](std::string_view match) {
    return R"({"host":"api.github.com","matches":[)" + std::string(match) + "]}";
  };
  EXPECT_TRUE(covered(on_api(R"({"methods":["GET"],"paths":[{"type":"exact","value":"/repos/octo/tool/issues"}]})")));
  EXPECT_FALSE(covered(on_api(R"({"paths":[{"type":"exact","value":"/repos/octo/tool/issues"}]})"))) << "every method";
  EXPECT_FALSE(
      covered(on_api(R"({"methods":["GET","POST"],"paths":[{"type":"exact","value":"/repos/octo/tool/issues"}]})")));
  EXPECT_FALSE(covered(on_api(R"({"methods":["GET"],"paths":[{"type":"exact","value":"/repos/evil/tool/issues"}]})")));
  EXPECT_FALSE(covered(on_api(R"({"methods":["GET"],"paths":[{"type":"prefix","value":"/repos/octo/tool"}]})")));
  EXPECT_FALSE(covered(on_api(R"({"methods":["GET"]})")));
  EXPECT_FALSE(covered(R"({"host":"api.github.com"})"));
  EXPECT_FALSE(covered(R"({"host":"evil.example.com"})"));
}

TEST(AskedRoute, lines_are_yaml_that_hides_nothing) {
  EXPECT_EQ(
      to_yaml_lines(asked_json(asked(
          R"({"host":"a.example.com","matches":[{"methods":["GET"],"paths":[{"type":"prefix","value":"/v1"}]}]})"))),
      "host: a.example.com\nmatches:\n  - paths:\n      - type: prefix\n        value: /v1\n    methods: [GET]\n");
  EXPECT_EQ(to_yaml_lines({{"a", "x\nb: c"}, {"yes", "no"}}), "a: \"x\\nb: c\"\n\"yes\": \"no\"\n");
  EXPECT_EQ(to_yaml_lines(nullptr), "");
}

TEST(AskedRoute, auto_rules_name_packs_and_bring_no_credential) {
  Problems problems;
  EXPECT_EQ(
      read_automatic(or_throw(parse_json(R"([{"pack":"github:read"},{"pack":"github:read","repositories":["a/b"]}])")),
                     "auto", problems)
          .size(),
      2U);
  EXPECT_TRUE(problems.empty());
  for (const char* bad :
       {R"("x")", R"(["github:read"])", R"([{"pack":"no:such"}])", R"([{"pack":"github:read","token_ref":"X"}])",
        R"([{"host":"a.example.com"}])", R"([{"pack":"github:read","name":"gitlab:read"}])"}) {
    problems.clear();
    static_cast<void>(read_automatic(or_throw(parse_json(bad)), "auto", problems));
    EXPECT_FALSE(problems.empty()) << bad;
  }
}

}  // namespace
}  // namespace bot_bottle::policy
