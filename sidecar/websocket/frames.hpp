// Reads and writes WebSocket frames (RFC 6455 §5). Hostile input: every octet read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sidecar/websocket/utf8.hpp"

namespace bot_bottle::websocket {

enum class Opcode : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

enum class Problem : std::uint8_t {
  none,
  reserved_bit,
  unknown_opcode,
  wrong_masking,
  long_control,
  fragmented_control,
  stray_continuation,
  message_in_message,
  padded_length,
  huge_length,
  bad_utf8,
  bad_close,
  after_close,
};
std::string_view text_of(Problem problem);

/// The code of a Close frame that says so.
std::uint16_t close_code_of(Problem problem);

enum class Sender : std::uint8_t { client, server };

/// Fragments of a message come as they are cut; control frames between them are told where they stand.
class FrameReader {
 public:
  enum class Event : std::uint8_t {
    need_more,    // `input` is used up
    data,         // bytes() is the next piece of a message of kind()
    message_end,  // the message is complete
    control,      // bytes() is the payload of control()
    bad,          // final; see problem()
  };
  explicit FrameReader(Sender sender) : sender_(sender) {}

  /// Advances `input`. bytes() is valid until the next call.
  Event next(std::string_view& input);
  [[nodiscard]] std::string_view bytes() const { return bytes_; }
  [[nodiscard]] Opcode kind() const { return kind_; }
  [[nodiscard]] Opcode control() const { return opcode_; }
  [[nodiscard]] Problem problem() const { return problem_; }

 private:
  enum class State : std::uint8_t { head, payload, failed };
  Event fail(Problem problem);
  bool read_head(std::string_view& input);
  Problem check_head();
  Event end_of_frame();
  Problem check_close() const;

  Sender sender_;
  State state_ = State::head;
  Problem problem_ = Problem::none;
  std::array<unsigned char, 14> head_{};
  std::size_t head_size_ = 0;
  bool final_ = false;
  Opcode opcode_ = Opcode::continuation;
  Opcode kind_ = Opcode::text;
  bool in_message_ = false;
  bool closed_ = false;
  std::uint64_t left_ = 0;
  std::array<unsigned char, 4> mask_{};
  std::size_t mask_at_ = 0;
  Utf8Checker utf8_;
  std::string bytes_;
};

using Mask = std::array<unsigned char, 4>;

/// Appends one frame, masked where there is a mask (clients must, with a fresh one each).
void write_frame(std::string& out, Opcode opcode, bool final, std::string_view payload,
                 const std::optional<Mask>& mask);
/// A Close frame's payload; `reason` is cut to what fits.
std::string close_payload(std::uint16_t code, std::string_view reason);

}  // namespace bot_bottle::websocket
