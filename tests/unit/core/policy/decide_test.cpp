// The decision, against a brute-force matcher and against what attackers wrote elsewhere.
#include "core/policy/decide.hpp"

#include <random>
#include <regex>

#include "core/base/text.hpp"

namespace bot_bottle::policy {
namespace {

std::shared_ptr<const RouteTable> table_of(std::string_view text) {
  ParsedEgress parsed = parse_egress(parse_json(text).value());
  for (const Problem& problem : parsed.problems) ADD_FAILURE() << problem.path << ": " << problem.message;
  return or_throw(RouteTable::create(std::move(parsed.egress)));
}

struct Ask {
  std::string method = "GET";
  std::string target = "/";
  std::string host = "api.example.com";
  std::uint16_t port = 443;
  Scheme scheme = Scheme::https;
  std::vector<HeaderView> headers = {};
};

Reason reason_of(const RouteTable& table, const Ask& ask, std::string* explanation = nullptr) {
  const auto target = normalise_target(ask.target);
  EXPECT_TRUE(target) << ask.target;
  if (!target) return Reason::no_match;
  const RequestView request{ask.scheme, ask.host, ask.port, ask.method, &*target, ask.headers};
  const Decision decision = table.decide(request);
  if (explanation != nullptr) *explanation = explain(decision, request);
  return decision.reason;
}

TEST(Decide, a_name_without_a_route_is_blocked) {
  const auto table = table_of(R"({"routes": [{"host": "api.example.com"}]})");
  EXPECT_EQ(reason_of(*table, {}), Reason::allowed);
  for (const char* host : {"example.com", "x.api.example.com", "api.example.com.evil.example", "api.example.co", ""}) {
    EXPECT_EQ(reason_of(*table, {.host = host}), Reason::host_not_allowed) << host;
    EXPECT_FALSE(table->decide_connect(host, 443).allowed());
    EXPECT_EQ(table->find_host(host), nullptr);
  }
}

TEST(Decide, I1_an_empty_list_allows_nothing) {
  EXPECT_EQ(reason_of(*table_of(R"({"routes": []})"), {}), Reason::host_not_allowed);
  EXPECT_EQ(reason_of(*table_of("{}"), {}), Reason::host_not_allowed);
  EXPECT_EQ(reason_of(*table_of(R"({"routes": [{"host": "api.example.com", "matches": []}]})"), {}), Reason::no_match);
  EXPECT_EQ(reason_of(*table_of(R"({"routes": [{"host": "api.example.com", "matches": [{"methods": []}]}]})"), {}),
            Reason::no_match);
  EXPECT_EQ(reason_of(*table_of(R"({"routes": [{"host": "api.example.com", "ports": []}]})"), {}),
            Reason::port_not_allowed);
}

TEST(Advice, says_which_entry_missed_what_and_what_it_would_need) {
  const auto table = table_of(R"({"routes": [{"host": "other.example.com"}, {"host": "api.example.com", "matches": [
      {"methods": ["GET", "HEAD"], "paths": [{"type": "prefix", "value": "/v1"}]},
      {"methods": ["POST"], "paths": [{"type": "exact", "value": "/v2/x"}]},
      {"headers": [{"name": "x-team", "value": "blue"}]}]}]})");
  const auto advise = [&](const Ask& ask) {
    const auto target = normalise_target(ask.target).value();
    const RequestView request{ask.scheme, ask.host, ask.port, ask.method, &target, ask.headers};
    return table->advise(table->decide(request), request);
  };
  const Advice missed = advise({.method = "POST", .target = "/v1/x"});
  EXPECT_EQ(missed.steps,
            (std::vector<std::string>{"entry 1 (GET,HEAD /v1…): not this method", "entry 2 (POST /v2/x): not this path",
                                      "entry 3 (x-team=blue): not without the header x-team"}));
  EXPECT_EQ(missed.change, "an entry in 'matches' with the method POST and the path /v1/x");
  const Advice passed = advise({.method = "POST", .target = "/v2/x"});
  EXPECT_EQ(passed.steps.back(), "entry 2 (POST /v2/x): matches");
  EXPECT_EQ(passed.change, "");
  EXPECT_EQ(advise({.host = "x.example.com"}).steps, std::vector<std::string>{"no route of 2 has this host"});
  EXPECT_EQ(advise({.port = 8443}).change, "port 8443 in 'ports' of the route");
  EXPECT_EQ(advise({.host = "other.example.com"}).steps,
            std::vector<std::string>{"the route has no matches: every request passes"});
}

TEST(Decide, ports_schemes_and_tunnels) {
  const auto table = table_of(
      R"({"routes": [{"host": "api.example.com"}, {"host": "plain.example.com", "plain": true}, {"host": "t.example.com", "tls": "passthrough"}]})");
  EXPECT_EQ(reason_of(*table, {.port = 8443}), Reason::port_not_allowed);
  EXPECT_EQ(reason_of(*table, {.port = 80, .scheme = Scheme::http}), Reason::plain_http_not_allowed);
  EXPECT_EQ(reason_of(*table, {.scheme = Scheme::http}), Reason::plain_http_not_allowed);
  EXPECT_EQ(reason_of(*table, {.host = "plain.example.com", .port = 80, .scheme = Scheme::http}), Reason::allowed);
  EXPECT_EQ(reason_of(*table, {.host = "plain.example.com"}), Reason::allowed);
  EXPECT_TRUE(table->decide_connect("t.example.com", 443).allowed());
  EXPECT_FALSE(table->decide_connect("t.example.com", 22).allowed());
  EXPECT_EQ(reason_of(*table, {.host = "t.example.com"}), Reason::passthrough_only);
}

TEST(Decide, A13_methods_that_echo_or_tunnel_are_never_allowed) {
  const auto table =
      table_of(R"({"routes": [{"host": "api.example.com", "matches": [{"methods": ["TRACE", "CONNECT", "PRI"]}]}]})");
  for (const char* method : {"TRACE", "trace", "TRACK", "CONNECT", "PRI"})
    EXPECT_EQ(reason_of(*table, {.method = method}), Reason::method_not_allowed);
}

TEST(Decide, A5_a_prefix_matches_whole_segments) {
  const auto table = table_of(
      R"({"routes": [{"host": "api.example.com", "matches": [{"paths": [{"type": "prefix", "value": "/v1/"}, {"type": "exact", "value": "/health"},
    {"type": "regex", "value": "/x/[0-9]+"}]}]}]})");
  for (const char* path : {"/v1", "/v1/", "/v1/a", "/v1//a", "/v1/x/../y", "/health", "/x/12", "/v1?q"})
    EXPECT_EQ(reason_of(*table, {.target = path}), Reason::allowed) << path;
  for (const char* path : {"/", "/v12", "/v1;x/a", "/v1%2Fa", "/V1/a", "/v1/../admin", "/v1/%2e%2e/admin", "//v1/a",
                           "/health/", "/healthy", "/x/12/", "/x/12a", "/a/x/12"})
    EXPECT_EQ(reason_of(*table, {.target = path}), Reason::no_match) << path;
}

TEST(Decide, a_header_that_comes_twice_has_to_match_twice) {
  const auto table = table_of(
      R"({"routes": [{"host": "api.example.com", "matches": [{"headers": [{"name": "X-Team", "value": "blue"}]}]}]})");
  EXPECT_EQ(reason_of(*table, {.headers = {{"x-team", "blue"}}}), Reason::allowed);
  EXPECT_EQ(reason_of(*table, {}), Reason::no_match);
  EXPECT_EQ(reason_of(*table, {.headers = {{"x-team", "blue"}, {"x-team", "red"}}}), Reason::no_match);
  EXPECT_EQ(reason_of(*table, {.headers = {{"x-team", "Blue"}}}), Reason::no_match);
}

TEST(Decide, a_git_push_is_blocked_on_every_route_however_it_is_written) {
  const auto table = table_of(R"({"routes": [{"host": "api.example.com", "git": {"fetch": true}}]})");
  for (const char* target :
       {"/o/r.git/git-receive-pack", "/o/r/git-receive-pack", "/o/r.git/info/refs?service=git-receive-pack",
        "/o/r.git/info/refs?a=b&service=git-receive-pack",
        "/o/r.git/info/refs?service=git-upload-pack&service=git-receive-pack",
        "/o/r.git/info/refs?service=git%2Dreceive%2dpack", "/o/r.git/info/refs?service=GIT-RECEIVE-PACK",
        "/o/r.git//git-receive-pack/", "/o/r.git/Git-Receive-Pack", "/o/r.git%2Fgit-receive-pack",
        "/o/r.git/git-receive-pack;x", "/o/r.git/x/../git-receive-pack", "/o/r.git/%67it-receive-pack",
        "/o/r.git/info%2Frefs?service=git-receive-pack"}) {
    for (const char* method : {"GET", "POST", "get"})
      EXPECT_EQ(reason_of(*table, {.method = method, .target = target}), Reason::git_push) << method << target;
  }
  EXPECT_EQ(reason_of(*table, {.method = "PUT", .target = "/o/r.git/objects/ab/cd"}), Reason::git_push);
  EXPECT_EQ(reason_of(*table, {.method = "MKCOL", .target = "/o/r.git/refs/"}), Reason::git_push);
  EXPECT_EQ(reason_of(*table, {.method = "LOCK", .target = "/o/r/info/refs"}), Reason::git_push);
}

TEST(Decide, a_git_fetch_needs_leave_and_a_match) {
  const auto without = table_of(R"({"routes": [{"host": "api.example.com"}]})");
  const auto with = table_of(
      R"({"routes": [{"host": "api.example.com", "git": {"fetch": true}, "matches": [{"paths": [{"type": "prefix", "value": "/o/"}]}]}]})");
  for (const char* target :
       {"/o/r.git/info/refs?service=git-upload-pack", "/o/r.git/info/refs", "/o/r.git/git-upload-pack"}) {
    EXPECT_EQ(reason_of(*without, {.target = target}), Reason::git_fetch_not_allowed) << target;
    EXPECT_EQ(reason_of(*with, {.target = target}), Reason::allowed) << target;
  }
  EXPECT_EQ(reason_of(*with, {.target = "/other/r.git/info/refs?service=git-upload-pack"}), Reason::no_match);
  EXPECT_EQ(reason_of(*without, {.target = "/o/r.git"}), Reason::allowed);
}

TEST(Decide, says_why_in_one_line) {
  const auto table = table_of(
      R"({"routes": [{"host": "a.example"}, {"host": "api.example.com", "matches": [{"methods": ["GET"]}]}]})");
  std::string text;
  reason_of(*table, {}, &text);
  EXPECT_EQ(text, "allowed by route 2 (api.example.com)");
  reason_of(*table, {.method = "POST", .target = "/x?y"}, &text);
  EXPECT_EQ(text, "blocked: POST /x matches no entry of route 2 (api.example.com)");
  reason_of(*table, {.host = "nope.example"}, &text);
  EXPECT_EQ(text, "blocked: no route for nope.example");
  for (int reason = 0; reason <= static_cast<int>(Reason::passthrough_only); ++reason)
    EXPECT_FALSE(name_of(static_cast<Reason>(reason)).empty());
}

TEST(RouteTable, refuses_what_the_parser_would_have_refused) {
  Egress twice;
  twice.routes.resize(2);
  twice.routes[0].host = twice.routes[1].host = "a.example";
  EXPECT_FALSE(RouteTable::create(twice));
  Egress bad;
  bad.routes.resize(1);
  bad.routes[0].host = "a.example";
  bad.routes[0].matches.push_back({.paths = {{PathMatch::Type::regex, "("}}, .methods = {}, .headers = {}});
  const auto result = RouteTable::create(bad);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, testing::HasSubstr("route 1 (a.example)"));
}

// The oracle: the specification again, in the plainest words, with another regex engine.
bool oracle_allows(const Egress& egress, const Ask& ask, const std::string& path) {
  const auto segments_of = [](std::string_view text) {
    std::vector<std::string_view> segments = split(text.substr(1), '/');
    return segments;
  };
  for (const Route& route : egress.routes) {
    if (route.host != ask.host) continue;
    if (std::find(route.ports.begin(), route.ports.end(), ask.port) == route.ports.end()) return false;
    if (ask.scheme == Scheme::http && !route.plain) return false;
    if (route.tls == Tls::passthrough) return false;
    if (route.matches.empty()) return !route.refuse_all;
    for (const Match& match : route.matches) {
      bool path_good = match.paths.empty();
      for (const PathMatch& entry : match.paths) {
        if (entry.type == PathMatch::Type::exact && entry.value == path) path_good = true;
        if (entry.type == PathMatch::Type::regex && std::regex_match(path, std::regex(entry.value))) path_good = true;
        if (entry.type == PathMatch::Type::prefix) {
          std::vector<std::string_view> want = segments_of(entry.value);
          if (want.back().empty()) want.pop_back();
          const std::vector<std::string_view> have = segments_of(path);
          if (have.size() >= want.size() && std::equal(want.begin(), want.end(), have.begin())) path_good = true;
        }
      }
      bool method_good = match.methods.empty();
      for (const std::string& method : match.methods) method_good = method_good || method == to_upper(ask.method);
      bool headers_good = true;
      for (const HeaderMatch& header : match.headers) {
        std::size_t count = 0;
        std::size_t good = 0;
        for (const auto& [name, value] : ask.headers) {
          if (name != header.name) continue;
          ++count;
          const std::string text(value);
          if (header.type == HeaderMatch::Type::exact ? text == header.value
                                                      : std::regex_match(text, std::regex(header.value)))
            ++good;
        }
        headers_good = headers_good && count > 0 && count == good;
      }
      if (path_good && method_good && headers_good) return true;
    }
    return false;
  }
  return false;
}

TEST(Decide, agrees_with_a_brute_force_matcher_on_generated_requests) {
  std::mt19937 random(5);
  const auto pick = [&random](auto& list) -> const auto& {
    return list[random() % std::size(list)];
  };
  const std::string hosts[] = {"a.example", "b.example", "c.example", "api.a.example"};
  const std::string values[] = {"/", "/a", "/a/", "/a/b", "/a/b/", "//a", "/a//b", "/A", "/a%2Fb"};
  const std::string regexes[] = {"/a.*", "/[ab]/b?", "(/a|/b)", ".*b", "/a/[^/]+"};
  const std::string targets[] = {"/",     "/a",     "/a/", "/a/b", "/a/b/c", "/a/./b",    "/a/../b", "//a",
                                 "/a//b", "/a%2fb", "/ab", "/b",   "/%61",   "/a/b?x=/a", "/A/b"};
  const std::string methods[] = {"GET", "POST", "get", "PUT"};
  const std::string_view teams[] = {"blue", "red", "b", ""};
  int allowed = 0;
  for (int round = 0; round < 1500; ++round) {
    Egress egress;
    for (const std::string& host : hosts) {
      if (random() % 4 == 0) continue;
      Route& route = egress.routes.emplace_back();
      route.host = host;
      if (random() % 3 == 0) route.ports = {443, 80};
      route.plain = random() % 3 == 0;
      if (random() % 12 == 0) route.tls = Tls::passthrough;
      for (std::size_t entries = random() % 3; entries > 0; --entries) {
        Match& match = route.matches.emplace_back();
        for (std::size_t i = random() % 3; i > 0; --i) {
          const auto type = static_cast<PathMatch::Type>(random() % 3);
          match.paths.push_back({type, type == PathMatch::Type::regex ? pick(regexes) : pick(values)});
        }
        if (random() % 2 == 0) match.methods = {to_upper(pick(methods))};
        if (random() % 3 == 0)
          match.headers.push_back({"x-team", random() % 2 == 0 ? "blue" : "b.*",
                                   random() % 2 == 0 ? HeaderMatch::Type::exact : HeaderMatch::Type::regex});
      }
      route.refuse_all = route.matches.empty() && random() % 6 == 0;
    }
    const auto table = or_throw(RouteTable::create(egress));
    for (int i = 0; i < 40; ++i) {
      Ask ask{pick(methods), pick(targets), pick(hosts), static_cast<std::uint16_t>(random() % 3 == 0 ? 80 : 443),
              random() % 3 == 0 ? Scheme::http : Scheme::https};
      for (std::size_t headers = random() % 3; headers > 0; --headers)
        ask.headers.emplace_back(random() % 3 == 0 ? "x-other" : "x-team", pick(teams));
      const std::string path = or_throw(normalise_target(ask.target)).path;
      const bool expected = oracle_allows(egress, ask, path);
      allowed += expected ? 1 : 0;
      EXPECT_EQ(reason_of(*table, ask) == Reason::allowed, expected)
          << ask.method << ' ' << ask.host << ask.target << '\n'
          << to_text(to_json(egress));
    }
  }
  EXPECT_GT(allowed, 5000);
}

}  // namespace
}  // namespace bot_bottle::policy
