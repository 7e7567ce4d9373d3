// Authorities and absolute targets are read strictly (attacks A1, A2, A11).
#include "sidecar/egress/names.hpp"

#include <gtest/gtest.h>

namespace bot_bottle::egress {
namespace {

TEST(Names, reads_authorities) {
  EXPECT_EQ(parse_authority("API.example.com.:8443", 0).value(), (Authority{"api.example.com", 8443}));
  EXPECT_EQ(parse_authority("api.example.com", 443).value(), (Authority{"api.example.com", 443}));
  EXPECT_FALSE(parse_authority("api.example.com", 0));
}

TEST(Names, A11_a_port_is_one_to_five_digits_within_range) {
  for (const char* port : {"0", "65536", "65979", "-1", "+443", " 443", "443 ", "0x1bb", "", "000443", "4_43"})
    EXPECT_FALSE(parse_authority(std::string("a.example.com:") + port, 0)) << port;
  EXPECT_EQ(parse_authority("a.example.com:65535", 0)->port, 65535);
}

TEST(Names, A11_address_literals_are_no_names) {
  for (const char* text :
       {"127.0.0.1:443", "[::1]:443", "::1", "[::ffff:7f00:1]:443", "0x7f.1:443", "2130706433:443", "127.1:443"})
    EXPECT_FALSE(parse_authority(text, 443)) << text;
}

TEST(Names, A1_user_information_and_odd_octets_are_refused) {
  using namespace std::string_view_literals;
  for (const std::string_view text :
       {"user@a.example.com:443"sv, "a.example.com\0.evil.com:443"sv, "a.example.com/x:443"sv, ":443"sv,
        "a b.example.com:443"sv, "a.example.com%2eevil.com:443"sv})
    EXPECT_FALSE(parse_authority(text, 443)) << text;
}

TEST(Names, splits_absolute_targets) {
  const auto target = parse_absolute_target("HTTP://a.example.com:81/x?y=z");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->authority, "a.example.com:81");
  EXPECT_EQ(target->path_and_query, "/x?y=z");
  EXPECT_EQ(target->scheme, policy::Scheme::http);
  EXPECT_EQ(parse_absolute_target("https://a.example.com")->path_and_query, "/");
  EXPECT_EQ(parse_absolute_target("https://a.example.com?q")->path_and_query, "/?q");
  EXPECT_FALSE(parse_absolute_target("ftp://a.example.com/"));
  EXPECT_FALSE(parse_absolute_target("*"));
}

TEST(Names, writes_host_without_the_usual_port) {
  EXPECT_EQ(host_field_of({"a.example.com", 443}, policy::Scheme::https), "a.example.com");
  EXPECT_EQ(host_field_of({"a.example.com", 80}, policy::Scheme::https), "a.example.com:80");
}

}  // namespace
}  // namespace bot_bottle::egress
