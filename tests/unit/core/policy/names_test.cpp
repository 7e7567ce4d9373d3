// Host names, address literals, forbidden addresses and targets: what an agent can write into a request.
#include <arpa/inet.h>
#include <sys/socket.h>

#include <array>
#include <random>

#include "core/policy/decide.hpp"

namespace bot_bottle::policy {
namespace {

using namespace std::string_view_literals;

std::string host_of(std::string_view text) {
  const auto host = normalise_host(text);
  return host ? *host : "refused";
}
std::string target_of(std::string_view text) {
  const auto target = normalise_target(text);
  return target ? target->text() : "refused";
}
bool forbidden(const std::string& text) {
  std::array<std::uint8_t, 16> octets{};
  if (::inet_pton(AF_INET, text.c_str(), octets.data()) == 1) return is_forbidden_address(std::span(octets).first(4));
  EXPECT_EQ(::inet_pton(AF_INET6, text.c_str(), octets.data()), 1) << text;
  return is_forbidden_address(octets);
}

TEST(Host, A1_a_nul_in_a_host_name_is_refused) {
  EXPECT_EQ(host_of("evil.example\0.api.example.com"sv), "refused");
  EXPECT_EQ(host_of("api.example.com\0"sv), "refused");
  EXPECT_EQ(host_of("b\xc3\xbc"
                    "cher.example\0.evil.example"sv),
            "refused")
      << "the IDN library reads C strings";
  for (int octet = 0; octet < 128; ++octet) {
    const char c = static_cast<char>(octet);
    const bool good =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    EXPECT_EQ(host_of("a" + std::string(1, c) + "b.example.com") != "refused", good) << octet;
  }
}

TEST(Host, A14_case_trailing_dot_and_idn_are_one_name) {
  EXPECT_EQ(host_of("API.Example.COM"), "api.example.com");
  EXPECT_EQ(host_of("api.example.com."), "api.example.com");
  EXPECT_EQ(host_of("\xc2\xad"), "refused") << "a soft hyphen alone maps to nothing";
  EXPECT_EQ(host_of("."), "refused");
  EXPECT_EQ(host_of("bücher.example"), "xn--bcher-kva.example");
  EXPECT_EQ(host_of("BÜCHER.example"), "xn--bcher-kva.example");
  EXPECT_EQ(host_of("XN--BCHER-KVA.example"), "xn--bcher-kva.example");
  EXPECT_EQ(host_of("api。example．com"), "api.example.com");
  for (const char* bad : {"", ".", "..", ".a", "a..b", "a..", "-a.example", "a-.example", "a_b.example",
                          "*.example.com", "a b", "a/b", "a@b", "a:443", "\xff.example", "exa\u200bmple..com"})
    EXPECT_EQ(host_of(bad), "refused") << bad;
  const std::string label(63, 'a');
  EXPECT_EQ(host_of(label + "a.example"), "refused");
  EXPECT_NE(host_of(label + ".example"), "refused");
  std::string longest;
  for (int i = 0; i < 126; ++i) longest += "a.";
  EXPECT_NE(host_of(longest + "b"), "refused");
  EXPECT_EQ(host_of(longest + "bc"), "refused");
}

TEST(Host, A11_an_address_is_no_host_name_in_any_spelling) {
  for (const char* text : {"127.0.0.1",
                           "127.1",
                           "127.0.0.1.",
                           "0x7f.1",
                           "0X7F000001",
                           "2130706433",
                           "0177.0.0.1",
                           "0",
                           "1.2.3.4",
                           "0x",
                           "a.0x1",
                           "a.1",
                           "[::1]",
                           "::1",
                           "::ffff:1.2.3.4",
                           "fe80::1%eth0",
                           "[fe80::1%25eth0]",
                           "１２７.0.0.1",
                           "127。0。0。1",
                           "①②⑦.0.0.1"}) {
    EXPECT_EQ(host_of(text), "refused") << text;
  }
  for (const char* text : {"1.example.com", "127.0.0.1.example.com", "0x7f.example", "a1", "1a", "deadbeef", "0xg"})
    EXPECT_NE(host_of(text), "refused") << text;
}

TEST(Host, A11_whatever_the_c_library_takes_for_an_address_is_a_literal) {
  std::mt19937 random(7);
  static constexpr std::string_view alphabet = "0123456789.xXaf:[%";
  int addresses = 0;
  for (int round = 0; round < 300'000; ++round) {
    std::string text;
    for (std::size_t length = 1 + random() % 10; length > 0; --length) text += alphabet[random() % alphabet.size()];
    in_addr v4{};
    in6_addr v6{};
    if (::inet_aton(text.c_str(), &v4) == 0 && ::inet_pton(AF_INET6, text.c_str(), &v6) != 1) continue;
    ++addresses;
    EXPECT_TRUE(is_address_literal(text)) << text;
    EXPECT_FALSE(normalise_host(text)) << text;
  }
  EXPECT_GT(addresses, 1000);
}

TEST(Address, A17_what_is_not_public_is_forbidden_however_it_is_written) {
  for (const char* text : {"0.0.0.0",
                           "0.1.2.3",
                           "10.0.0.1",
                           "100.64.0.1",
                           "100.100.100.200",
                           "100.127.255.255",
                           "127.0.0.1",
                           "127.255.255.254",
                           "168.63.129.16",
                           "169.254.169.254",
                           "172.16.0.1",
                           "172.31.255.255",
                           "192.0.0.192",
                           "192.0.2.1",
                           "192.168.1.1",
                           "198.18.0.1",
                           "198.19.255.255",
                           "198.51.100.7",
                           "203.0.113.9",
                           "224.0.0.1",
                           "239.255.255.255",
                           "240.0.0.1",
                           "255.255.255.255",
                           "::",
                           "::1",
                           "::127.0.0.1",
                           "::8.8.8.8",
                           "::ffff:127.0.0.1",
                           "::ffff:10.0.0.1",
                           "::ffff:169.254.169.254",
                           "64:ff9b::10.0.0.1",
                           "64:ff9b::127.0.0.1",
                           "64:ff9b:1::8.8.8.8",
                           "64:ff9b:1:a00:0:100::",
                           "2002:7f00:1::",
                           "2002:a00:1::1",
                           "2001::1",
                           "2001:0:0808:0808::1",
                           "2001:db8::1",
                           "2001:10::1",
                           "3fff::1",
                           "fc00::1",
                           "fd00:ec2::254",
                           "fe80::1",
                           "fec0::1",
                           "ff02::1",
                           "100::1",
                           "4000::1",
                           "5f00::1"}) {
    EXPECT_TRUE(forbidden(text)) << text;
  }
  for (const char* text : {"1.1.1.1",          "8.8.8.8",         "9.255.255.255",        "11.0.0.1",
                           "100.63.255.255",   "100.128.0.1",     "126.255.255.255",      "128.0.0.1",
                           "168.63.129.17",    "172.15.0.1",      "172.32.0.1",           "192.0.1.1",
                           "198.17.0.1",       "198.20.0.1",      "223.255.255.255",      "::ffff:8.8.8.8",
                           "64:ff9b::8.8.8.8", "2002:808:808::1", "2606:4700:4700::1111", "2001:4860:4860::8888",
                           "2a00::1",          "3ffe::1"}) {
    EXPECT_FALSE(forbidden(text)) << text;
  }
  const std::array<std::uint8_t, 16> octets{8, 8, 8, 8};
  for (std::size_t size = 0; size <= 16; ++size) {
    if (size != 4 && size != 16) {
      EXPECT_TRUE(is_forbidden_address(std::span(octets).first(size))) << size;
    }
  }
}

TEST(TargetText, is_canonical) {
  EXPECT_EQ(target_of("/"), "/");
  EXPECT_EQ(target_of("/a/./b/../c"), "/a/c");
  EXPECT_EQ(target_of("/a/.."), "/");
  EXPECT_EQ(target_of("/a/b/.."), "/a/");
  EXPECT_EQ(target_of("/a/."), "/a/");
  EXPECT_EQ(target_of("/../../a"), "/a");
  EXPECT_EQ(target_of("//a//b"), "//a//b");
  EXPECT_EQ(target_of("/%41%7e%2d"), "/A~-");
  EXPECT_EQ(target_of("/a%3ab"), "/a%3Ab");
  EXPECT_EQ(target_of("/x?"), "/x?");
  EXPECT_EQ(target_of("/x?a=%2e%2e/../y?z"), "/x?a=%2e%2e/../y?z") << "a query stays as it came";
  EXPECT_EQ(target_of("/a;x=1/b"), "/a;x=1/b");
  EXPECT_EQ(target_of("/..."), "/...");
}

TEST(TargetText, A5_dot_segments_in_any_spelling_are_resolved_or_refused) {
  EXPECT_EQ(target_of("/v1/%2e%2e/admin"), "/admin");
  EXPECT_EQ(target_of("/v1/.%2E/admin"), "/admin");
  for (const char* bad : {"/v1/..;/admin",
                          "/v1/..;x=y/admin",
                          "/v1/.;/admin",
                          "/v1\\..\\admin",
                          "/v1/..\\admin",
                          "/v1/%2e%2e;/admin",
                          "/a b",
                          "/a\tb",
                          "/a\rb",
                          "/a\nb",
                          "/a#b",
                          "/\x80",
                          "/%",
                          "/%4",
                          "/%zz",
                          "/%00",
                          "/%0d%0a",
                          "/%7f",
                          "/%c0%ae%c0%ae/",
                          "/?%0",
                          "/?%00",
                          "/?a b",
                          "/?\n",
                          "",
                          "a",
                          "*",
                          "http://example.com/",
                          "?x"}) {
    EXPECT_EQ(target_of(bad), "refused") << bad;
  }
  EXPECT_EQ(target_of("/a\0b"sv), "refused");
}

TEST(TargetText, A6_encoded_slashes_stay_and_double_encodings_are_refused) {
  EXPECT_EQ(target_of("/a%2fb"), "/a%2Fb");
  EXPECT_EQ(target_of("/a%5cb"), "/a%5Cb");
  for (const char* bad :
       {"/v1/..%2fadmin", "/v1/%2e%2e%2fadmin", "/v1/x%2f..%2fadmin", "/v1/..%5cadmin", "/v1%2f..", "/%252e%252e/x",
        "/%252fx", "/%255cx", "/%25252e", "/%2500", "/%252%65x", "/%25%32f", "/%2525%36"})
    EXPECT_EQ(target_of(bad), "refused") << bad;
  EXPECT_EQ(target_of("/100%25"), "/100%25");
  EXPECT_EQ(target_of("/%2541"), "/%2541") << "a percent sign followed by digits stays what it is";
  EXPECT_EQ(target_of("/?u=https%253A%252F%252Fexample.com"), "/?u=https%253A%252F%252Fexample.com");
}

TEST(TargetText, A5_what_was_normalised_does_not_change_again) {
  std::mt19937 random(11);
  static constexpr std::array<std::string_view, 18> parts{"/",   ".",  "..",  "a",  "%2e", "%2E", "%2f", "%5c", ";",
                                                          "%25", "2e", "%41", "//", "?",   "=",   "%",   "~",   "b/"};
  int good = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::string text = "/";
    for (std::size_t length = random() % 10; length > 0; --length) text += parts[random() % parts.size()];
    const auto first = normalise_target(text);
    if (!first) continue;
    ++good;
    const auto second = normalise_target(first->text());
    ASSERT_TRUE(second) << text << " → " << first->text();
    EXPECT_EQ(second->text(), first->text()) << text;
    for (const char* dots : {"/./", "/../", "%2e", "%2E"}) EXPECT_EQ(first->path.find(dots), std::string::npos) << text;
    EXPECT_FALSE(first->path.ends_with("/..") || first->path.ends_with("/.")) << text;
  }
  EXPECT_GT(good, 10'000);
}

}  // namespace
}  // namespace bot_bottle::policy
