#include <gtest/gtest.h>

#include "sidecar/git_gate/pack_header.hpp"
#include "sidecar/git_gate/pkt_line.hpp"
#include "sidecar/git_gate/receive_request.hpp"

namespace bot_bottle::git_gate {
namespace {

using Reading = ReceiveRequestReader::Reading;

std::string pkt(std::string_view payload) {
  std::string out;
  write_pkt(out, payload);
  return out;
}
const std::string one(40, '1');
const std::string two(40, '2');
const std::string zero(zero_oid);

PktReader::Event event_of(std::string_view text) {
  std::string_view payload;
  return PktReader::next(text, payload);
}

TEST(PktLine, lengths_are_four_hex_digits_and_nothing_else) {
  EXPECT_EQ(event_of("0000"), PktReader::Event::flush);
  EXPECT_EQ(event_of("0001"), PktReader::Event::delimiter);
  EXPECT_EQ(event_of("0002"), PktReader::Event::response_end);
  for (const char* bad : {"0003", "+005x", " 005x", "0x05x", "-001", "fff1x", "00 5x"})
    EXPECT_EQ(event_of(bad), PktReader::Event::bad) << bad;
  for (const char* more : {"", "00", "0005", "0006a"}) EXPECT_EQ(event_of(more), PktReader::Event::need_more) << more;
  EXPECT_EQ(event_of("0005x"), PktReader::Event::data);
  EXPECT_EQ(event_of("000Ax12345"), PktReader::Event::data);
}

TEST(PktLine, bands_are_cut_to_packets) {
  std::string out;
  write_band(out, 2, std::string(70000, 'x'));
  std::string_view input = out;
  std::string_view payload;
  std::size_t total = 0;
  while (!input.empty()) {
    ASSERT_EQ(PktReader::next(input, payload), PktReader::Event::data);
    EXPECT_EQ(payload.front(), 2);
    total += payload.size() - 1;
  }
  EXPECT_EQ(total, 70000U);
}

TEST(ReceiveRequest, reads_commands_however_they_are_cut) {
  const std::string text = pkt(zero + " " + one + " refs/heads/a" + std::string("\0report-status side-band-64k", 28)) +
                           pkt(one + " " + zero + " refs/heads/b\n") + "0000PACKrest";
  for (std::size_t piece = 1; piece <= text.size(); ++piece) {
    ReceiveRequestReader reader;
    Reading reading = Reading::need_more;
    std::size_t at = 0;
    for (; at < text.size() && reading == Reading::need_more; at += piece)
      reading = reader.feed(std::string_view(text).substr(at, piece));
    ASSERT_EQ(reading, Reading::complete);
    const ReceiveRequest& request = reader.request();
    ASSERT_EQ(request.updates.size(), 2U);
    EXPECT_EQ(request.updates[0].name, "refs/heads/a");
    EXPECT_TRUE(request.updates[0].creates());
    EXPECT_TRUE(request.updates[1].deletes());
    EXPECT_TRUE(request.report_status && request.side_band && request.has_pack());
    EXPECT_EQ(reader.take_rest() + text.substr(std::min(at, text.size())), "PACKrest");
  }
}

void expect_bad(const std::string& text, std::string_view message) {
  ReceiveRequestReader reader;
  EXPECT_EQ(reader.feed(text), Reading::bad) << text;
  EXPECT_NE(reader.error().message.find(message), std::string::npos) << reader.error().message;
}

TEST(ReceiveRequest, what_is_not_a_command_is_refused_by_name) {
  expect_bad(pkt(std::string(64, '1') + " " + std::string(64, '2') + " refs/heads/a"), "SHA-256");
  expect_bad(pkt(zero + " " + one + " refs/heads/a" + std::string("\0object-format=sha256", 21)), "SHA-256");
  expect_bad(pkt("push-cert\n"), "signed pushes");
  expect_bad(pkt(one + " " + two), "old new ref");
  expect_bad(pkt(std::string(40, 'A') + " " + two + " refs/heads/a"), "old new ref");
  expect_bad(pkt(zero + " " + zero + " refs/heads/a"), "from nothing to nothing");
  expect_bad(pkt(one + " " + two + " refs/heads/a") + pkt(two + " " + one + " refs/heads/a"), "two commands for one");
  expect_bad(pkt(one + " " + two + " refs/heads/a") + pkt(one + " " + two + std::string(" refs/heads/b\0x", 15)),
             "NUL");
  expect_bad("0001", "not pkt-lines");
  expect_bad("zzzz", "not pkt-lines");
}

TEST(ReceiveRequest, a_probe_is_a_lone_flush) {
  ReceiveRequestReader reader;
  EXPECT_EQ(reader.feed("0000"), Reading::complete);
  EXPECT_TRUE(reader.request().empty);
}

TEST(ReceiveRequest, the_number_of_commands_is_bounded) {
  std::string text;
  for (int i = 0; i < 1001; ++i) text += pkt(zero + " " + one + " refs/heads/" + std::to_string(i));
  expect_bad(text, "more than 1000 refs");
}

TEST(PackHeader, promises_that_cannot_be_kept_are_refused) {
  const auto header = [](std::uint32_t objects) {
    std::string text = std::string("PACK\0\0\0\2", 8);
    for (int shift = 24; shift >= 0; shift -= 8)
      text += static_cast<char>((objects >> static_cast<unsigned>(shift)) & 255U);
    return text;
  };
  ASSERT_TRUE(parse_pack_header(header(7)));
  EXPECT_EQ(parse_pack_header(header(7))->objects, 7U);
  EXPECT_FALSE(parse_pack_header(header(7).substr(0, 11)));
  EXPECT_FALSE(parse_pack_header("PACK" + std::string(8, '\1')));
  EXPECT_FALSE(parse_pack_header("KCAP" + std::string(8, '\0')));
  EXPECT_TRUE(is_plausible({2, 0}, 32));
  EXPECT_FALSE(is_plausible({2, 0}, 31));
  EXPECT_FALSE(is_plausible({2, 0xffffffff}, std::uint64_t{1} << 40));
  EXPECT_FALSE(is_plausible({2, 100}, 32 + 99 * 9));
  EXPECT_TRUE(is_plausible({2, 100}, 32 + 100 * 9));
}

}  // namespace
}  // namespace bot_bottle::git_gate
