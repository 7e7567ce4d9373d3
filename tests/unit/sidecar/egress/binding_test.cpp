// What is taken off a request before the real credential goes on (attacks A10, E3, F1).
#include "sidecar/egress/binding.hpp"

#include <gtest/gtest.h>

#include "core/base/text.hpp"

namespace bot_bottle::egress {
namespace {

struct Case {
  policy::Route route;
  SecretStore secrets;
  http::Fields fields;
  policy::Target target{.path = "/x", .query = {}, .has_query = false};

  Case() {
    route.host = "a.example.com";
    route.auth = policy::Auth{policy::Auth::Scheme::bearer, "authorization", "TOKEN"};
    route.foreign_credentials = policy::ForeignCredentials::refuse;
    secrets.add("TOKEN", SecretBytes("the-real-token"));
    secrets.add_placeholder({"placeholder", "TOKEN"});
    secrets.add_placeholder({"other-placeholder", "OTHER"});
  }
  bool refused() { return bind_account(route, secrets, fields, target).refusal.has_value(); }
};

TEST(Binding, A10_fields_named_by_connection_go_before_injection_and_cannot_take_framing_along) {
  http::Fields fields;
  fields.add("Connection", "close, X-Mine , content-type");
  fields.add("X-Mine", "1");
  fields.add("Content-Type", "text/plain");
  fields.add("Content-Length", "5");
  fields.add("Proxy-Foo", "1");
  fields.add("Accept-Encoding", "br");
  fields.add("X-Stay", "1");
  strip_connection_fields(fields);
  EXPECT_EQ(fields.size(), 2U);
  EXPECT_TRUE(fields.has("content-type"));
  EXPECT_TRUE(fields.has("x-stay"));
}

TEST(Binding, F1_the_placeholder_is_accepted_in_every_usual_spelling) {
  for (const std::string& value :
       {std::string("Bearer placeholder"), std::string("bearer  placeholder"), std::string("token placeholder"),
        std::string("placeholder"), "Basic " + base64_encode("x:placeholder"), "Basic " + base64_encode("placeholder:"),
        "Basic " + base64_encode("placeholder:x-oauth-basic")}) {
    Case one;
    one.fields.add("authorization", value);
    EXPECT_FALSE(one.refused()) << value;
    EXPECT_TRUE(one.fields.empty());
  }
}

TEST(Binding, E3_everything_else_is_foreign) {
  for (const std::string& value :
       {std::string("Bearer placeholder2"), std::string("Bearer other-placeholder"),
        std::string("Bearer placeholder, Bearer evil"), "Basic " + base64_encode("placeholder:evil"),
        std::string("Basic !!!"), std::string("Negotiate placeholder"), std::string("")}) {
    Case one;
    one.fields.add("authorization", value);
    EXPECT_TRUE(one.refused()) << value;
  }
  Case two;
  two.fields.add("authorization", "Bearer placeholder");
  two.fields.add("authorization", "Bearer evil");
  EXPECT_TRUE(two.refused());
}

TEST(Binding, E3_query_credentials_are_seen_through_encodings) {
  for (const char* query :
       {"key=evil", "a=1&KEY=evil", "%6B%65%79=evil", "access_token=evil", "api_key", "api%5Fkey=x"}) {
    Case one;
    one.target.query = query;
    one.target.has_query = true;
    EXPECT_TRUE(one.refused()) << query;
  }
  Case one;
  one.target.query = "monkey=1&keys=2&q=key=3";
  one.target.has_query = true;
  EXPECT_FALSE(one.refused());
  EXPECT_EQ(one.target.query, "monkey=1&keys=2&q=key=3");
}

TEST(Binding, a_stripping_route_takes_them_off_and_says_so) {
  Case one;
  one.route.foreign_credentials = policy::ForeignCredentials::strip;
  one.fields.add("cookie", "session=1");
  one.target.query = "key=evil";
  one.target.has_query = true;
  const Bound bound = bind_account(one.route, one.secrets, one.fields, one.target);
  EXPECT_FALSE(bound.refusal);
  EXPECT_EQ(bound.stripped, "header cookie");
  EXPECT_TRUE(one.fields.empty());
  EXPECT_FALSE(one.target.has_query);
}

TEST(Binding, credentials_are_written_as_their_scheme_says) {
  Case one;
  const auto written = [&](policy::Auth::Scheme scheme, std::string header, std::string_view secret) {
    one.secrets.add("TOKEN", SecretBytes(secret));
    one.route.auth = policy::Auth{scheme, std::move(header), "TOKEN"};
    std::string out;
    find_credential(one.route, one.secrets)->write_to(out);
    return out;
  };
  using Scheme = policy::Auth::Scheme;
  EXPECT_EQ(written(Scheme::bearer, "authorization", "t0k"), "authorization: Bearer t0k\r\n");
  EXPECT_EQ(written(Scheme::token, "authorization", "t0k"), "authorization: token t0k\r\n");
  EXPECT_EQ(written(Scheme::header, "x-api-key", "t0k"), "x-api-key: t0k\r\n");
  EXPECT_EQ(written(Scheme::basic, "authorization", "u:p"), "authorization: Basic " + base64_encode("u:p") + "\r\n");
  EXPECT_EQ(written(Scheme::basic, "authorization", "t0k"),
            "authorization: Basic " + base64_encode("x-access-token:t0k") + "\r\n");
}

TEST(Binding, which_account_is_meant_is_the_sidecars_to_say) {
  Case one;
  one.route.auth->account_header = "x-account";
  one.route.auth->account_ref = "ACCOUNT";
  EXPECT_FALSE(find_credential(one.route, one.secrets)) << "it was not given";
  one.secrets.add("ACCOUNT", SecretBytes("acc\r\nx-evil: 1"));
  EXPECT_FALSE(find_credential(one.route, one.secrets)) << "a header of its own would follow";
  one.secrets.add("ACCOUNT", SecretBytes("the-real-account"));
  std::string out;
  find_credential(one.route, one.secrets)->write_to(out);
  EXPECT_EQ(out, "authorization: Bearer the-real-token\r\nx-account: the-real-account\r\n");
  one.fields.add("authorization", "Bearer placeholder");
  one.fields.add("X-Account", "of-somebody-else");
  EXPECT_FALSE(one.refused());
  EXPECT_TRUE(one.fields.empty());
}

TEST(Binding, F2_a_missing_or_unwritable_credential_fails_closed) {
  Case one;
  one.route.auth->token_ref = "NONE";
  EXPECT_FALSE(find_credential(one.route, one.secrets));
  one.secrets.add("BAD", SecretBytes("a\r\nx-evil: 1"));
  one.route.auth->token_ref = "BAD";
  EXPECT_FALSE(find_credential(one.route, one.secrets));
}

TEST(Binding, trailers_may_not_be_what_matters_in_a_head) {
  http::Fields trailers;
  for (const char* name :
       {"authorization", "cookie", "content-length", "transfer-encoding", "host", "content-type", "x-sum"})
    trailers.add(name, "1");
  strip_trailers(trailers);
  EXPECT_EQ(trailers.size(), 1U);
  EXPECT_TRUE(trailers.has("x-sum"));
}

}  // namespace
}  // namespace bot_bottle::egress
