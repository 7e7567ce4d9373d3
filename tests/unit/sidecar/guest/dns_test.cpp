#include "sidecar/guest/dns.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/json.hpp"

namespace bot_bottle::guest {
namespace {

std::string bytes(std::initializer_list<int> list) {
  std::string out;
  for (const int value : list) out.push_back(static_cast<char>(value));
  return out;
}

std::string question(const std::string& name, int type = 1, int additional = 0) {
  return bytes({0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, additional}) + name +
         bytes({type >> 8, type & 0xff, 0, 1});
}

std::string label(const std::string& text) {
  return static_cast<char>(text.size()) + text;
}

TEST(Dns, a_question_is_refused_and_named) {
  const std::string packet = question(label("data") + label("example") + label("com") + '\0', 28);
  const DnsAnswer answer = answer_dns(packet);
  EXPECT_EQ(answer.verdict, DnsVerdict::refused);
  EXPECT_EQ(answer.name, "data.example.com");
  EXPECT_EQ(answer.type, "AAAA");
  EXPECT_EQ(answer.reply.substr(0, 12), bytes({0x12, 0x34, 0x81, 0x05, 0, 1, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(answer.reply.substr(12), packet.substr(12));
}

TEST(Dns, the_root_and_an_edns_option_are_fine) {
  EXPECT_EQ(answer_dns(question(std::string(1, '\0'), 2)).name, "");
  const DnsAnswer answer = answer_dns(question(label("x") + '\0', 1, 1) + bytes({0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(answer.verdict, DnsVerdict::refused);
  EXPECT_EQ(answer.reply.size(), 12U + 3 + 4);  // the option is not sent back
}

TEST(Dns, B6_what_is_not_one_plain_question_is_malformed) {
  const std::string good = question(label("a") + '\0');
  EXPECT_EQ(answer_dns(question(bytes({0xc0, 0x0c}))).verdict,
            DnsVerdict::malformed);  // a compression pointer to itself
  EXPECT_EQ(answer_dns(question(bytes({0x40}) + std::string(64, 'a') + '\0')).verdict, DnsVerdict::malformed);
  EXPECT_EQ(answer_dns(question(label("a"))).verdict, DnsVerdict::malformed);
  EXPECT_EQ(answer_dns(good + "x").verdict, DnsVerdict::malformed);
  EXPECT_EQ(answer_dns(good.substr(0, good.size() - 1)).verdict, DnsVerdict::malformed);
  EXPECT_EQ(answer_dns(good + std::string(600, '\0')).verdict, DnsVerdict::malformed);
  std::string two = good;
  two[5] = 2;
  EXPECT_EQ(answer_dns(two).verdict, DnsVerdict::malformed);
  EXPECT_EQ(answer_dns(two).reply.size(), 12U);
  std::string longest;
  for (int i = 0; i < 4; ++i) longest += label(std::string(63, 'a'));
  EXPECT_EQ(answer_dns(question(longest + '\0')).verdict, DnsVerdict::malformed);  // 257 octets
}

TEST(Dns, a_reply_and_a_fragment_get_no_answer) {
  std::string reply = question(label("a") + '\0');
  reply[2] = static_cast<char>(0x81);
  EXPECT_EQ(answer_dns(reply).verdict, DnsVerdict::ignored);
  EXPECT_TRUE(answer_dns(reply).reply.empty());
  EXPECT_EQ(answer_dns("").verdict, DnsVerdict::ignored);
  EXPECT_EQ(answer_dns(std::string(11, '\0')).verdict, DnsVerdict::ignored);
}

TEST(Dns, spec09_8_a_report_is_json_of_one_kilobyte_whatever_the_name) {
  std::string hostile;
  for (int i = 0; i < 3; ++i) hostile += label(std::string(63, '\x1b'));
  hostile += label("\"\\.\n\xff") + '\0';
  const std::string report = dns_report(answer_dns(question(hostile)), "udp");
  EXPECT_LE(report.size(), 1024U);
  const auto parsed = parse_json_object(report);
  ASSERT_TRUE(parsed) << report;
  EXPECT_EQ(get_string(*parsed, "name").find('\x1b'), std::string::npos);
  const auto small = parse_json_object(dns_report(answer_dns(question(label("a\"b\\c.d") + '\0')), "tcp"));
  ASSERT_TRUE(small);
  EXPECT_EQ(get_string(*small, "name"), "a\"b\\\\c\\.d");
  EXPECT_EQ(get_string(*small, "transport"), "tcp");
}

}  // namespace
}  // namespace bot_bottle::guest
