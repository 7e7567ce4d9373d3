#include "core/cli/url.hpp"

#include <gtest/gtest.h>

namespace bot_bottle::cli {
namespace {

TEST(Url, is_split_as_it_will_be_asked) {
  const auto url = parse_url("https://api.example.com:8443/v1/x?q=1&r=/a");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host, "api.example.com");
  EXPECT_EQ(url->port, 8443);
  EXPECT_EQ(url->target, "/v1/x?q=1&r=/a");
  EXPECT_EQ(url->scheme, policy::Scheme::https);
}

TEST(Url, has_the_defaults_a_person_means) {
  const auto bare = parse_url("example.com");
  ASSERT_TRUE(bare);
  EXPECT_EQ(bare->port, 443);
  EXPECT_EQ(bare->target, "/");
  const auto plain = parse_url("HTTP://example.com?x");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->port, 80);
  EXPECT_EQ(plain->scheme, policy::Scheme::http);
  EXPECT_EQ(plain->target, "/?x");
}

TEST(Url, keeps_hosts_for_the_policy_to_judge) {
  const auto six = parse_url("https://[::1]:8080/");
  ASSERT_TRUE(six);
  EXPECT_EQ(six->host, "[::1]");
  EXPECT_EQ(six->port, 8080);
  EXPECT_EQ(parse_url("https://[fe80::1%25eth0]/")->host, "[fe80::1%25eth0]");
}

TEST(Url, refuses_what_is_never_sent) {
  for (const char* bad :
       {"", "https://", "ftp://example.com", "https://user:pw@example.com/", "https://example.com/#x",
        "https://example.com:0/", "https://example.com:65536/", "https://example.com:x/", "https://:443/"}) {
    const auto url = parse_url(bad);
    ASSERT_FALSE(url) << bad;
    EXPECT_EQ(url.error().kind, ErrorKind::usage);
    EXPECT_FALSE(url.error().hint.empty());
  }
}

}  // namespace
}  // namespace bot_bottle::cli
