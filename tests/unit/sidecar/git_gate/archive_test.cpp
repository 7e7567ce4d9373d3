#include "sidecar/git_gate/archive.hpp"

#include <gtest/gtest.h>
#include <zlib.h>

#include <map>

namespace bot_bottle::git_gate {
namespace {

std::string deflate_with(std::string_view text, int window_bits) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 9, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<unsigned char*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<unsigned>(text.size());
  stream.next_out = reinterpret_cast<unsigned char*>(out.data());
  stream.avail_out = static_cast<unsigned>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}
std::string gz(std::string_view text) {
  return deflate_with(text, 15 + 16);
}
std::string little(std::uint64_t value, int octets) {
  std::string out;
  for (int i = 0; i < octets; ++i) out += static_cast<char>((value >> (8U * static_cast<unsigned>(i))) & 255U);
  return out;
}
/// A local header with `method` and the data; nothing else of a zip.
std::string local(std::string_view name, std::string_view data, unsigned method) {
  return "PK\x03\x04" + little(20, 2) + little(0, 2) + little(method, 2) + little(0, 8) + little(data.size(), 4) +
         little(0, 4) + little(name.size(), 2) + little(0, 2) + std::string(name) + std::string(data);
}
std::string central(unsigned flags, unsigned method) {
  return std::string("PK\x01\x02", 4) + little(0, 4) + little(flags, 2) + little(method, 2) + std::string(34, '\0');
}

struct Opened {
  std::map<std::string, std::string> members;
  std::string fault;
};
Opened open(std::string_view bytes) {
  Opened out;
  Unpacker unpacker([&](const std::string& name, std::string_view content) { out.members[name] = content; });
  out.fault = unpacker.open("x", bytes).value_or("");
  return out;
}

TEST(Unpacker, opens_what_is_nested) {
  const Opened opened = open(gz(local("a", deflate_with(gz("inner"), -15), 8)));
  EXPECT_EQ(opened.members.at("x!!a!"), "inner");
  EXPECT_EQ(opened.fault, "");
}

TEST(Unpacker, a_method_that_the_header_denies_is_tried_all_the_same) {
  EXPECT_EQ(open(local("a", deflate_with("hidden", -15), 0)).members.at("x!a"), "hidden");
}

TEST(Unpacker, what_is_before_the_damage_is_seen) {
  const std::string text(10000, 'y');
  const std::string whole = gz("begin" + text);
  EXPECT_TRUE(open(whole.substr(0, whole.size() - 12)).members.at("x!").starts_with("begin"));
}

TEST(Unpacker, what_cannot_be_read_is_a_fault) {
  EXPECT_EQ(open(local("a", "x", 0) + central(1, 0)).fault, "a member is encrypted");
  EXPECT_EQ(open(local("a", "x", 12) + central(0, 12)).fault, "a member is compressed by method 12");
  std::string deep = "x";
  for (int i = 0; i < 6; ++i) deep = gz(deep);
  EXPECT_NE(open(deep).fault.find("deep"), std::string::npos);
  EXPECT_NE(open(gz(std::string(std::size_t{70} << 20, '\0'))).fault.find("unpacks to more"), std::string::npos);
}

TEST(Unpacker, many_members_end_it) {
  std::string many;
  for (int i = 0; i < 21000; ++i) many += local("a", "", 0);
  EXPECT_NE(open(many).fault.find("unpacks to more"), std::string::npos);
}

TEST(Unpacker, plain_content_is_left_alone) {
  EXPECT_TRUE(open("just text, with PK in it").members.empty());
  EXPECT_FALSE(Unpacker::is_archive("GIF89a"));
}

}  // namespace
}  // namespace bot_bottle::git_gate
