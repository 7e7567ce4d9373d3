// The egress block: strict, complete in its complaints, and the same document after a round trip.
#include "core/policy/egress.hpp"

#include <random>

#include "core/base/text.hpp"
#include "core/policy/decide.hpp"

namespace bot_bottle::policy {
namespace {

ParsedEgress parse(std::string_view text) {
  return parse_egress(parse_json(text).value());
}

/// "path: message (hint)" of every problem, one a line.
std::string problems_of(std::string_view text) {
  std::string out;
  for (const Problem& problem : parse(text).problems)
    out += problem.path + ": " + problem.message + (problem.hint.empty() ? "" : " (" + problem.hint + ")") + "\n";
  return out;
}
std::string route_problems(std::string_view rest) {
  return problems_of(R"({"routes": [{"host": "api.example.com")" + std::string(rest.empty() ? "" : ", ") +
                     std::string(rest) + "}]}");
}

constexpr std::string_view everything = R"({
  "log": 2, "upstream_proxy": "http://corp-proxy:3128", "upstream_ca": "~/corp-root.pem",
  "hosts": {"Gitea.internal.example.": "10.1.2.3", "b.example": "127.0.0.1:8443", "c.example": "[2001:db8::1]:443", "d.example": "2001:db8::2"},
  "routes": [{
    "host": "API.example.com.", "ports": [443, 8443], "plain": true,
    "auth": {"scheme": "header:X-Api-Key", "token_ref": "EXAMPLE_TOKEN"},
    "matches": [{"paths": [{"type": "prefix", "value": "/v1/"}, {"type": "exact", "value": "/a%2fb"}, {"type": "regex", "value": "/x/[0-9]+"}],
                 "methods": ["get", "POST"], "headers": [{"name": "X-Team", "value": "blue"}, {"name": "x-b", "value": "r.d", "type": "regex"}]}],
    "dlp": {"outbound_detectors": ["known_secrets"], "inbound_detectors": false}, "git": {"fetch": true}, "on_unscannable": "pass",
    "tls": "intercept", "foreign_credentials": "refuse", "limits": {"requests_per_minute": 600, "bytes_out_per_hour": "200MiB"}},
    {"host": "pinned.example.com", "tls": "passthrough"}]})";

TEST(Egress, every_key_of_the_block_is_read) {
  const ParsedEgress parsed = parse(everything);
  ASSERT_TRUE(parsed.problems.empty()) << problems_of(everything);
  const Egress& egress = parsed.egress;
  EXPECT_EQ(egress.log, 2);
  EXPECT_EQ(egress.upstream_proxy->host, "corp-proxy");
  EXPECT_EQ(egress.upstream_proxy->port, 3128);
  EXPECT_EQ(egress.upstream_ca, "~/corp-root.pem");
  EXPECT_EQ(egress.hosts.at("gitea.internal.example").address, "10.1.2.3");
  EXPECT_EQ(egress.hosts.at("b.example").port, 8443);
  EXPECT_EQ(egress.hosts.at("c.example").address, "2001:db8::1");
  EXPECT_FALSE(egress.hosts.at("d.example").port);
  ASSERT_EQ(egress.routes.size(), 2U);
  const Route& route = egress.routes[0];
  EXPECT_EQ(route.host, "api.example.com");
  EXPECT_EQ(route.ports, (std::vector<std::uint16_t>{443, 8443}));
  EXPECT_TRUE(route.plain);
  EXPECT_EQ(route.auth->scheme, Auth::Scheme::header);
  EXPECT_EQ(route.auth->header, "x-api-key");
  EXPECT_EQ(route.auth->token_ref, "EXAMPLE_TOKEN");
  ASSERT_EQ(route.matches.size(), 1U);
  EXPECT_EQ(route.matches[0].paths[1].value, "/a%2Fb");
  EXPECT_EQ(route.matches[0].methods, (std::vector<std::string>{"GET", "POST"}));
  EXPECT_EQ(route.matches[0].headers[0].name, "x-team");
  EXPECT_EQ(route.matches[0].headers[1].type, HeaderMatch::Type::regex);
  EXPECT_FALSE(route.dlp.token_patterns);
  EXPECT_TRUE(route.dlp.known_secrets);
  EXPECT_TRUE(route.git_fetch);
  EXPECT_EQ(route.on_unscannable, OnUnscannable::pass);
  EXPECT_EQ(route.foreign_credentials, ForeignCredentials::refuse);
  EXPECT_EQ(route.limits.requests_per_minute, 600U);
  EXPECT_EQ(route.limits.bytes_out_per_hour, std::uint64_t{200} << 20U);
  EXPECT_EQ(egress.routes[1].tls, Tls::passthrough);
}

TEST(Egress, defaults_are_https_on_443_with_both_outbound_detectors) {
  const Egress egress = parse(R"({"routes": [{"host": "a.example"}, {"host": "b.example", "plain": true}]})").egress;
  EXPECT_EQ(egress.log, 1);
  EXPECT_EQ(egress.routes[0].ports, (std::vector<std::uint16_t>{443}));
  EXPECT_EQ(egress.routes[1].ports, (std::vector<std::uint16_t>{443, 80}));
  EXPECT_TRUE(egress.routes[0].dlp.token_patterns && egress.routes[0].dlp.known_secrets &&
              egress.routes[0].dlp.injection);
  EXPECT_FALSE(egress.routes[0].auth || egress.routes[0].git_fetch || egress.routes[0].plain);
  EXPECT_EQ(egress.routes[0].on_unscannable, OnUnscannable::block);
}

TEST(Egress, unknown_keys_are_named_with_the_one_that_was_meant) {
  EXPECT_EQ(problems_of(R"({"route": []})"), "route: unknown key (did you mean 'routes'?)\n");
  EXPECT_EQ(route_problems(R"("on_unscanable": "block")"),
            "routes[0].on_unscanable: unknown key (did you mean 'on_unscannable'?)\n");
  EXPECT_EQ(route_problems(R"("matches": [{"paths": [{"type": "prefix", "valeu": "/"}]}])"),
            "routes[0].matches[0].paths[0].valeu: unknown key (did you mean "
            "'value'?)\nroutes[0].matches[0].paths[0].value: is missing\n");
  EXPECT_THAT(route_problems(R"("zzz": 1)"), testing::HasSubstr("known keys: host, ports"));
  // Was taken for an entry of a table with room to spare, which has no message.
  EXPECT_THAT(problems_of(R"({"": 1})"), testing::StartsWith(": unknown key"));
}

TEST(Egress, reserved_and_old_keys_show_the_new_form) {
  for (const char* value : {"\"x\"", "null", "{}", "false"})
    EXPECT_THAT(route_problems("\"role\": " + std::string(value)), testing::HasSubstr("'role' is reserved"));
  EXPECT_THAT(problems_of(R"({"role": "x"})"), testing::HasSubstr("reserved"));
  EXPECT_THAT(route_problems(R"("path_allowlist": ["/v1/"])"),
              testing::HasSubstr("matches: [{paths: [{type: prefix, value: /v1/}]}]"));
  EXPECT_THAT(problems_of(R"({"allowlist": ["a.example"]})"), testing::HasSubstr("routes: [{host: api.example.com}]"));
  EXPECT_THAT(route_problems(R"("pipelock": {})"), testing::HasSubstr("outbound_detectors"));
}

TEST(Egress, what_this_version_cannot_honour_is_refused_by_name) {
  EXPECT_THAT(route_problems(R"("packs": ["github:read"])"), testing::HasSubstr("not supported in this version"));
  EXPECT_EQ(problems_of(R"({"canaries": false, "metrics": false, "upstream_proxy": null, "upstream_ca": ""})"), "");
}

TEST(Egress, canaries_are_on_unless_switched_off_and_freeze_is_asked_for) {
  EXPECT_TRUE(parse("{}").egress.canaries && parse(R"({"canaries": true})").egress.canaries);
  EXPECT_EQ(parse("{}").egress.on_canary, OnCanary::block);
  EXPECT_FALSE(parse(R"({"canaries": false})").egress.canaries);
  EXPECT_EQ(parse(R"({"on_canary": "freeze"})").egress.on_canary, OnCanary::freeze);
  for (const char* text : {R"({"canaries": false})", R"({"on_canary": "freeze"})"}) {
    const Egress read = parse(text).egress;
    for (const Egress& again : {parse_egress(to_json(read)).egress, or_throw(parse_routes_toml(to_routes_toml(read)))})
      EXPECT_TRUE(again.canaries == read.canaries && again.on_canary == read.on_canary) << text;
  }
  EXPECT_THAT(problems_of(R"({"on_canary": "stop"})"), testing::HasSubstr("'stop' is not accepted (freeze)"));
  EXPECT_THAT(problems_of(R"({"on_canary": "freeze", "canaries": false})"), testing::HasSubstr("no canaries to see"));
  EXPECT_THAT(problems_of(R"({"canaries": "no"})"), testing::HasSubstr("expected true or false"));
  for (const char* text : {R"("dlp": {"on_canary": "freeze"})", R"("canaries": false)", R"("on_canary": "freeze")"})
    EXPECT_THAT(route_problems(text), testing::HasSubstr("belongs to the whole block")) << text;
}

TEST(Egress, mcp_tools_are_pinned_when_asked_for) {
  EXPECT_FALSE(parse("{}").egress.mcp_pin || parse(R"({"mcp": {}})").egress.mcp_pin);
  const Egress pinned = parse(R"({"mcp": {"pin": true}})").egress;
  EXPECT_TRUE(pinned.mcp_pin && parse_egress(to_json(pinned)).egress.mcp_pin);
  EXPECT_TRUE(or_throw(parse_routes_toml(to_routes_toml(pinned))).mcp_pin);
  EXPECT_THAT(problems_of(R"({"mcp": true})"), testing::HasSubstr("mcp: expected a map"));
  EXPECT_THAT(problems_of(R"({"mcp": {"pinn": true}})"), testing::HasSubstr("did you mean 'pin'?"));
  EXPECT_THAT(route_problems(R"("mcp": {"pin": true})"), testing::HasSubstr("belongs to the whole block"));
}

TEST(Egress, recognised_content_is_read_where_general_reading_is_off_but_not_by_name) {
  const auto dlp = [](const std::string& inbound) {
    return parse(R"({"routes": [{"host": "a.example", "dlp": {"inbound_detectors": )" + inbound + "}}]}")
        .egress.routes[0];
  };
  EXPECT_TRUE(dlp("true").dlp.recognised_injection && dlp(R"(["naive_injection_detection"])").dlp.recognised_injection);
  EXPECT_FALSE(dlp("false").dlp.recognised_injection || dlp("[]").dlp.recognised_injection);
  const Route only = dlp(R"(["mcp"])");
  EXPECT_TRUE(only.dlp.recognised_injection && !only.dlp.injection);
  const Route again = parse_route(to_json(only), "").egress.routes[0];
  EXPECT_TRUE(again.dlp.recognised_injection && !again.dlp.injection);
}

TEST(Egress, detectors_are_on_unless_a_route_names_others) {
  const auto dlp = [](const std::string& text) {
    return parse(R"({"routes": [{"host": "a.example")" + (text.empty() ? "" : ", \"dlp\": " + text) + "}]}")
        .egress.routes[0]
        .dlp;
  };
  EXPECT_TRUE(dlp("").injection && dlp("").financial);
  EXPECT_FALSE(dlp(R"({"inbound_detectors": false})").injection);
  EXPECT_FALSE(dlp(R"({"inbound_detectors": []})").injection);
  EXPECT_TRUE(dlp(R"({"inbound_detectors": ["naive_injection_detection"]})").injection);
  EXPECT_FALSE(dlp(R"({"outbound_detectors": ["token_patterns", "known_secrets"]})").financial);
  EXPECT_TRUE(dlp(R"({"outbound_detectors": ["financial"]})").financial);
  EXPECT_FALSE(dlp(R"({"outbound_detectors": ["financial"]})").token_patterns);
  EXPECT_THAT(route_problems(R"("dlp": {"inbound_detectors": ["x"]})"), testing::HasSubstr("is not a detector"));
  EXPECT_THAT(route_problems(R"("dlp": {"rules": "x.toml"})"), testing::HasSubstr("belongs to the whole block"));
  EXPECT_EQ(parse(R"({"dlp": {"rules": "/x.toml"}})").egress.dlp_rules, "/x.toml");
  EXPECT_THAT(problems_of(R"({"dlp": {"inbound_detectors": false}})"), testing::HasSubstr("belongs to a route"));
}

TEST(Egress, A11_A14_route_hosts_are_exact_names) {
  for (const char* host : {"*.example.com", "10.0.0.1", "127.1", "0x7f.1", "2130706433", "[::1]", "::1",
                           "api.example.com:443", "https://api.example.com", "", "a b", "a..b"})
    EXPECT_THAT(problems_of(R"({"routes": [{"host": ")" + std::string(host) + "\"}]}"),
                testing::HasSubstr("routes[0].host: "))
        << host;
  EXPECT_THAT(problems_of(R"({"routes": [{"host": "api.example.com:8443"}]})"),
              testing::HasSubstr("host: api.example.com, ports: [8443]"));
  EXPECT_EQ(parse(R"({"routes": [{"host": "bücher.example"}]})").egress.routes[0].host, "xn--bcher-kva.example");
  EXPECT_THAT(problems_of(R"({"routes": [{"host": "a.example"}, {"host": "A.example."}]})"),
              testing::HasSubstr("routes[1].host: 'a.example' already has a route: routes[0]"));
  EXPECT_THAT(route_problems(R"("ports": [65537])"), testing::HasSubstr("1 to 65535"));
  for (const char* ports : {"[0]", "[-1]", "[443.0]", "[\"443\"]", "443"})
    EXPECT_NE(route_problems("\"ports\": " + std::string(ports)), "") << ports;
}

TEST(Egress, auth_is_whole_or_absent_and_never_a_value) {
  EXPECT_THAT(route_problems(R"("auth": {})"), testing::HasSubstr("auth: {scheme: Bearer, token_ref: EXAMPLE_TOKEN}"));
  EXPECT_THAT(route_problems(R"("auth": null)"), testing::HasSubstr("expected a map"));
  EXPECT_THAT(route_problems(R"("auth": {"scheme": "Bearer"})"), testing::HasSubstr("token_ref: is missing"));
  EXPECT_THAT(route_problems(R"("auth": {"token_ref": "X"})"), testing::HasSubstr("scheme: is missing"));
  EXPECT_THAT(route_problems(R"("auth": {"scheme": "Berer", "token_ref": "X"})"), testing::HasSubstr("header:<Name>"));
  EXPECT_THAT(route_problems(R"("auth": {"scheme": "header:transfer-encoding", "token_ref": "X"})"),
              testing::HasSubstr("cannot carry"));
  EXPECT_THAT(route_problems(R"("auth": {"scheme": "header:a b", "token_ref": "X"})"),
              testing::HasSubstr("no valid header"));
  const std::string leaked = route_problems(R"("auth": {"scheme": "Bearer", "token_ref": "sk-live-0123456789"})");
  EXPECT_THAT(leaked, testing::HasSubstr("not the name of a variable"));
  EXPECT_EQ(leaked.find("0123456789"), std::string::npos) << "a credential written in the wrong place is not repeated";
  const auto account = [](const std::string& value) {
    return route_problems(R"("auth": {"scheme": "Bearer", "token_ref": "X", "account": )" + value + "}");
  };
  EXPECT_EQ(account(R"({"header": "X-Account", "token_ref": "Y"})"), "");
  EXPECT_THAT(account(R"({"header": "X-Account"})"), testing::HasSubstr("auth.account.token_ref: is missing"));
  EXPECT_THAT(account(R"({"header": "Host", "token_ref": "Y"})"), testing::HasSubstr("cannot carry"));
  EXPECT_THAT(account(R"({"header": "Authorization", "token_ref": "Y"})"), testing::HasSubstr("credential itself"));
  EXPECT_THAT(account(R"({"header": "X-A", "token_ref": "a-value"})"),
              testing::HasSubstr("not the name of a variable"));
  const std::string proxy = problems_of(R"({"upstream_proxy": "http://me:hunter22@proxy:3128"})");
  EXPECT_THAT(proxy, testing::HasSubstr("token_ref"));
  EXPECT_EQ(proxy.find("hunter22"), std::string::npos);
}

TEST(Egress, bad_values_are_told_where_they_stand) {
  EXPECT_THAT(route_problems(R"("matches": [{"paths": [{"type": "regex", "value": "("}]}])"),
              testing::HasSubstr("routes[0].matches[0].paths[0].value: '(' is not a usable regex"));
  EXPECT_THAT(route_problems(R"("matches": [{"paths": [{"type": "regex", "value": "((a{100}){100}){100}"}]}])"),
              testing::HasSubstr("not a usable regex"));
  EXPECT_THAT(route_problems(R"("matches": [{"paths": [{"type": "prefix", "value": "v1"}]}])"),
              testing::HasSubstr("not a path"));
  EXPECT_THAT(route_problems(R"("matches": [{"paths": [{"type": "exact", "value": "/a/../b"}]}])"),
              testing::HasSubstr("dot segments"));
  EXPECT_THAT(route_problems(R"("matches": [{"paths": [{"type": "exact", "value": "/a?b"}]}])"),
              testing::HasSubstr("query"));
  EXPECT_THAT(route_problems(R"("matches": [{"paths": "/v1/"}])"),
              testing::HasSubstr("expected a list, found a string"));
  EXPECT_THAT(route_problems(R"("matches": [{"methods": ["GE T"]}])"), testing::HasSubstr("not a method"));
  EXPECT_THAT(route_problems(R"("git": {"push": true})"), testing::HasSubstr("git-gate"));
  EXPECT_THAT(route_problems(R"("limits": {"bytes_out_per_hour": "4G"})"), testing::HasSubstr("200MiB"));
  EXPECT_THAT(route_problems(R"("limits": {"requests_per_minute": 0})"), testing::HasSubstr("out of range"));
  EXPECT_THAT(route_problems(R"("tls": "passthrough", "auth": {"scheme": "Bearer", "token_ref": "X"})"),
              testing::HasSubstr("has no effect with tls: passthrough"));
  EXPECT_THAT(problems_of(R"({"hosts": {"a.example": "10.0.0.1:70000", "b.example": "x", "1.2.3.4": "1.1.1.1"}})"),
              testing::HasSubstr("not an address"));
  EXPECT_THAT(problems_of(R"({"log": 3})"), testing::HasSubstr("0 to 2"));
  EXPECT_EQ(problems_of("[]"), ": expected a map, found a list\n");
}

TEST(Egress, all_problems_are_told_at_once) {
  EXPECT_EQ(parse(R"({"role": 1, "routes": [{"host": "*"}, {"auth": {}}, 7], "hosts": 3})").problems.size(), 6U);
}

TEST(Egress, I1_an_empty_list_is_kept_apart_from_an_absent_one) {
  const Egress egress =
      parse(R"({"routes": [{"host": "a.example", "matches": []}, {"host": "b.example", "matches": [{"methods": []}]},
    {"host": "c.example", "matches": [{"paths": []}, {"headers": []}]}, {"host": "d.example", "matches": [{"methods": []}, {"methods": ["GET"]}]}]})")
          .egress;
  EXPECT_TRUE(egress.routes[0].refuse_all && egress.routes[1].refuse_all && egress.routes[2].refuse_all);
  EXPECT_FALSE(egress.routes[3].refuse_all);
  EXPECT_EQ(egress.routes[3].matches.size(), 1U);
  EXPECT_TRUE(parse_egress(to_json(egress)).egress.routes[0].refuse_all);
}

TEST(Egress, a_single_route_is_read_with_its_own_path) {
  const ParsedEgress parsed = parse_route(parse_json(R"({"host": "a.example", "rol": 1})").value(), "egress_routes[3]");
  ASSERT_EQ(parsed.problems.size(), 1U);
  EXPECT_EQ(parsed.problems[0].path, "egress_routes[3].rol");
  EXPECT_EQ(parsed.egress.routes.at(0).host, "a.example");
}

TEST(Egress, public_routes_tell_no_token_name) {
  const std::string text = to_text(to_public_json(parse(everything).egress.routes[0]));
  EXPECT_EQ(text.find("EXAMPLE_TOKEN"), std::string::npos);
  EXPECT_EQ(text.find("x-api-key"), std::string::npos);
  EXPECT_THAT(text, testing::HasSubstr("api.example.com"));
}

/// Random documents that are valid, with every key now and then.
json::object random_document(std::mt19937& random) {
  const auto chance = [&random] { return random() % 2 == 0; };
  const auto word = [&random] {
    std::string text;
    for (std::size_t length = 1 + random() % 8; length > 0; --length) text += static_cast<char>('a' + random() % 26);
    return text;
  };
  json::object document{{"log", random() % 3}};
  json::array routes;
  for (std::size_t i = random() % 5; i > 0; --i) {
    json::object route{{"host", word() + std::to_string(i) + ".example.com"}};
    if (chance()) route["ports"] = json::array{random() % 65535 + 1, 443};
    if (random() % 8 == 0) {
      route["tls"] = "passthrough";
      routes.push_back(route);
      continue;
    }
    if (chance()) route["plain"] = chance();
    if (chance()) {
      const char* schemes[] = {"Bearer", "token", "Basic", "header:X-Key"};
      route["auth"] = json::object{{"scheme", schemes[random() % 4]}, {"token_ref", "T_" + word()}};
      if (chance())
        route["auth"].as_object()["account"] = json::object{{"header", "X-Account"}, {"token_ref", "A_" + word()}};
    }
    if (chance()) {
      json::array matches;
      for (std::size_t entries = random() % 3; entries > 0; --entries) {
        json::object match;
        const char* types[] = {"prefix", "exact", "regex"};
        if (chance())
          match["paths"] =
              json::array{json::object{{"type", types[random() % 3]}, {"value", "/" + word() + "%2f" + word() + "/"}}};
        if (chance()) match["methods"] = json::array{"get", "PUT"};
        if (random() % 6 == 0) match["methods"] = json::array{};
        if (chance())
          match["headers"] =
              json::array{json::object{{"name", "X-" + word()}, {"value", word() + "\"\\\n"}, {"type", "exact"}}};
        matches.push_back(match);
      }
      route["matches"] = matches;
    }
    if (chance())
      route["dlp"] = json::object{{"outbound_detectors", chance() ? json::array{"token_patterns"} : json::array{}}};
    if (chance()) route["git"] = json::object{{"fetch", chance()}};
    if (chance()) route["on_unscannable"] = chance() ? "block" : "pass";
    if (chance()) route["foreign_credentials"] = chance() ? "strip" : "refuse";
    if (chance())
      route["limits"] = json::object{{"requests_per_minute", 1 + random() % 1000}, {"bytes_out_per_hour", "3MiB"}};
    routes.push_back(route);
  }
  document["routes"] = routes;
  if (chance())
    document["hosts"] =
        json::object{{word() + ".example", "10.0.0.1"}, {"p" + word() + ".example", "[2001:db8::7]:8443"}};
  if (chance()) document["upstream_ca"] = "-----BEGIN\nline\x7f\"\\";
  if (chance())
    document["upstream_proxy"] = json::object{{"url", "http://proxy.example.com:3128"}, {"token_ref", "LOGIN"}};
  return document;
}

TEST(Egress, parse_of_to_json_and_of_toml_is_the_same_value) {
  std::mt19937 random(3);
  for (int round = 0; round < 1000; ++round) {
    const json::object document = random_document(random);
    const ParsedEgress first = parse_egress(document);
    ASSERT_TRUE(first.problems.empty()) << to_text(document) << first.problems[0].path << first.problems[0].message;
    const std::string text = to_text(to_json(first.egress));
    const ParsedEgress second = parse_egress(to_json(first.egress));
    ASSERT_TRUE(second.problems.empty()) << text;
    EXPECT_EQ(to_text(to_json(second.egress)), text);
    const auto third = parse_routes_toml(to_routes_toml(first.egress));
    ASSERT_TRUE(third) << to_routes_toml(first.egress) << third.error().message << third.error().details;
    EXPECT_EQ(to_text(to_json(*third)), text);
  }
}

TEST(RoutesToml, faults_carry_their_line) {
  const auto bad = parse_routes_toml(
      "log = 1\n\n[[routes]]\nhost = \"a.example\"\n\n[[routes]]\nhost = \"b.example\"\nrole = \"x\"\n");
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().details, testing::HasSubstr("line 8: routes[1].role: 'role' is reserved"));
  const auto broken = parse_routes_toml("[[routes]\n");
  ASSERT_FALSE(broken);
  EXPECT_THAT(broken.error().message, testing::HasSubstr("line 1"));
  EXPECT_FALSE(parse_routes_toml("[[routes]]\nhost = 2026-01-01\n"));
}

}  // namespace
}  // namespace bot_bottle::policy
