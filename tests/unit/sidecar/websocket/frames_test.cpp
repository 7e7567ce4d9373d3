// Frames as a hostile peer writes them, cut anywhere.
#include "sidecar/websocket/frames.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace bot_bottle::websocket {
namespace {

constexpr Mask mask = {1, 2, 3, 4};

std::string frame(Opcode opcode, std::string_view payload, bool final = true) {
  std::string out;
  write_frame(out, opcode, final, payload, mask);
  return out;
}

/// What a reader sees, as one line: "t(abc)" a text, "b(…)" a binary message, "8(…)" a control frame, "!" the problem.
std::string see(std::string_view octets, std::size_t piece, Sender sender = Sender::client) {
  FrameReader reader(sender);
  std::string out;
  std::string message;
  for (std::size_t at = 0; at < octets.size(); at += piece) {
    std::string_view input = octets.substr(at, piece);
    for (bool more = true; more;) {
      switch (reader.next(input)) {
        case FrameReader::Event::need_more:
          more = false;
          break;
        case FrameReader::Event::data:
          message.append(reader.bytes());
          break;
        case FrameReader::Event::message_end:
          out += (reader.kind() == Opcode::text ? "t(" : "b(") + message + ")";
          message.clear();
          break;
        case FrameReader::Event::control:
          out += std::to_string(static_cast<unsigned>(reader.control())) + "(" + std::string(reader.bytes()) + ")";
          break;
        case FrameReader::Event::bad:
          return out + "!" + std::to_string(static_cast<unsigned>(reader.problem()));
      }
    }
  }
  return out;
}

TEST(WebSocketFrames, messages_are_read_however_they_are_cut) {
  const std::string all = frame(Opcode::text, "hello") + frame(Opcode::binary, "") + frame(Opcode::text, "a", false) +
                          frame(Opcode::ping, "p") + frame(Opcode::continuation, "", false) +
                          frame(Opcode::continuation, "b") + frame(Opcode::binary, std::string(200, 'x')) +
                          frame(Opcode::close, close_payload(1000, "bye"));
  const std::string expected =
      "t(hello)b()9(p)t(ab)b(" + std::string(200, 'x') + ")8(" + close_payload(1000, "bye") + ")";
  for (std::size_t piece = 1; piece <= all.size(); ++piece) ASSERT_EQ(see(all, piece), expected) << piece;
}

TEST(WebSocketFrames, sizes_around_each_form_of_length_survive) {
  for (const std::size_t size : {0U, 1U, 125U, 126U, 127U, 65535U, 65536U, 100000U}) {
    const std::string payload(size, 'y');
    EXPECT_EQ(see(frame(Opcode::binary, payload), 4096), "b(" + payload + ")") << size;
    std::string unmasked;
    write_frame(unmasked, Opcode::binary, true, payload, std::nullopt);
    EXPECT_EQ(see(unmasked, 4096, Sender::server), "b(" + payload + ")") << size;
  }
}

TEST(WebSocketFrames, A15_every_deviation_is_an_error) {
  const auto problem = [](const std::string& octets, Sender sender = Sender::client) {
    const std::string seen = see(octets, octets.size(), sender);
    const std::size_t at = seen.find('!');
    return at == std::string::npos ? Problem::none : static_cast<Problem>(std::stoul(seen.substr(at + 1)));
  };
  for (const unsigned bits : {0x40U, 0x20U, 0x10U}) {
    std::string octets = frame(Opcode::text, "x");
    octets[0] = static_cast<char>(static_cast<unsigned char>(octets[0]) | bits);
    EXPECT_EQ(problem(octets), Problem::reserved_bit) << bits;
  }
  for (const unsigned opcode : {3U, 4U, 7U, 11U, 15U})
    EXPECT_EQ(problem(frame(static_cast<Opcode>(opcode), "x")), Problem::unknown_opcode) << opcode;
  EXPECT_EQ(problem(frame(Opcode::text, "x"), Sender::server), Problem::wrong_masking);
  std::string unmasked;
  write_frame(unmasked, Opcode::text, true, "x", std::nullopt);
  EXPECT_EQ(problem(unmasked), Problem::wrong_masking);
  EXPECT_EQ(problem(frame(Opcode::ping, std::string(126, 'p'))), Problem::long_control);
  EXPECT_EQ(problem(frame(Opcode::ping, "p", false)), Problem::fragmented_control);
  EXPECT_EQ(problem(frame(Opcode::continuation, "x")), Problem::stray_continuation);
  EXPECT_EQ(problem(frame(Opcode::text, "x", false) + frame(Opcode::binary, "y")), Problem::message_in_message);
  EXPECT_EQ(problem(std::string("\x81\xfe\x00\x01zzzzx", 9)), Problem::padded_length);
  EXPECT_EQ(problem(std::string("\x81\xff\0\0\0\0\0\0\xff\xffzzzz", 14)), Problem::padded_length);
  EXPECT_EQ(problem(std::string("\x81\xff\x80\0\0\0\0\1\0\0zzzz", 14)), Problem::huge_length);
  EXPECT_EQ(problem(frame(Opcode::text, "\xff")), Problem::bad_utf8);
  EXPECT_EQ(problem(frame(Opcode::text, "\xc3")), Problem::bad_utf8);
  EXPECT_EQ(problem(frame(Opcode::text, "\xc3", false) + frame(Opcode::continuation, "\xa9")), Problem::none);
  EXPECT_EQ(problem(frame(Opcode::close, "x")), Problem::bad_close);
  for (const unsigned code : {0U, 999U, 1004U, 1005U, 1006U, 1015U, 2999U, 5000U, 65535U})
    EXPECT_EQ(problem(frame(Opcode::close, close_payload(static_cast<std::uint16_t>(code), ""))), Problem::bad_close)
        << code;
  EXPECT_EQ(problem(frame(Opcode::close, close_payload(1000, "\xff"))), Problem::bad_utf8);
  EXPECT_EQ(problem(frame(Opcode::close, "") + frame(Opcode::text, "x")), Problem::after_close);
}

}  // namespace
}  // namespace bot_bottle::websocket
