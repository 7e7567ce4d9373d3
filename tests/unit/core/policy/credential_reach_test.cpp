// A credential's reach never grows unseen, and what says so does not cry wolf.
#include "core/policy/credential_reach.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/base/json.hpp"

namespace bot_bottle::policy {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Egress read(std::string_view text) {
  ParsedEgress parsed = parse_egress(or_throw(parse_json(text)));
  EXPECT_TRUE(parsed.problems.empty()) << text;
  return std::move(parsed.egress);
}

constexpr const char* base = R"({"hosts": {"a.example.com": "192.0.2.1"}, "routes": [
  {"host": "a.example.com", "auth": {"scheme": "Bearer", "token_ref": "T"},
   "matches": [{"methods": ["GET"], "paths": [{"type": "prefix", "value": "/v1"}]}]},
  {"host": "b.example.com"}]})";

std::string changed(std::string_view what, std::string_view to) {
  std::string text = base;
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), to);
}

TEST(CredentialReach, less_or_the_same_needs_no_word) {
  for (const std::string& text : {std::string(base), changed("/v1", "/v1/models"),
                                  changed(R"({"host": "b.example.com"})", R"({"host": "c.example.com"})"),
                                  changed("192.0.2.1\"}", "192.0.2.1\", \"b.example.com\": \"192.0.2.9\"}"),
                                  changed(R"("auth": {"scheme": "Bearer", "token_ref": "T"},)", "")})
    EXPECT_THAT(credential_widening(read(base), read(text)), IsEmpty()) << text;
}

TEST(CredentialReach, each_way_to_send_it_further_is_told) {
  const std::vector<std::pair<std::string, std::string>> table{
      {changed("/v1", "/"), "T goes along with more requests to a.example.com"},
      {changed(R"(["GET"])", R"(["GET", "POST"])"), "T goes along with more requests to a.example.com"},
      {changed(R"("T")", R"("U")"), "U is sent to a.example.com in another way, or instead of T"},
      {changed("Bearer", "Basic"), "T is sent to a.example.com in another way, or instead of T"},
      {changed("192.0.2.1", "192.0.2.2"), "T for a.example.com goes to 192.0.2.2 instead of 192.0.2.1"},
      {changed(R"("hosts": {"a.example.com": "192.0.2.1"}, )", ""),
       "T for a.example.com goes to the address that its name has instead of 192.0.2.1"},
      {changed(R"("auth")", R"("ports": [443, 8443], "auth")"), "T goes to port 8443 of a.example.com"},
      {changed(R"("auth")", R"("git": {"fetch": true}, "auth")"), "T is used for git fetch from a.example.com"},
      {changed(R"({"host": "b.example.com")",
               R"({"host": "b.example.com", "auth": {"scheme": "token", "token_ref": "T"})"),
       "T is sent to b.example.com"},
      {changed(R"({"host": "b.example.com")",
               R"({"host": "c.example.com", "auth": {"scheme": "token", "token_ref": "T"})"),
       "T is sent to c.example.com"},
      {changed(R"({"host": "b.example.com")",
               R"({"host": "c.example.com", "auth": {"scheme": "Bearer", "token_ref": "U", )"
               R"("account": {"header": "x-a", "token_ref": "T"}})"),
       "U and T is sent to c.example.com"}};
  for (const auto& [text, line] : table)
    EXPECT_THAT(credential_widening(read(base), read(text)), ElementsAre(line)) << text;
  EXPECT_THAT(credential_widening(read(base), read(changed(R"("auth")", R"("plain": true, "ports": [443], "auth")"))),
              ElementsAre("T may go to a.example.com in the clear (plain)"));
}

TEST(CredentialReach, a_route_that_allowed_nothing_allows_more_when_it_allows_anything) {
  const std::string shut =
      R"({"routes": [{"host": "a.example.com", "auth": {"scheme": "Bearer", "token_ref": "T"}, "matches": []}]})";
  const std::string open = R"({"routes": [{"host": "a.example.com", "auth": {"scheme": "Bearer", "token_ref": "T"}}]})";
  EXPECT_THAT(credential_widening(read(shut), read(open)),
              ElementsAre("T goes along with more requests to a.example.com"));
  EXPECT_THAT(credential_widening(read(open), read(shut)), IsEmpty());
}

}  // namespace
}  // namespace bot_bottle::policy
