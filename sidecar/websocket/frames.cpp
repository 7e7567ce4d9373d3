#include "sidecar/websocket/frames.hpp"

#include <algorithm>

#include "core/base/text.hpp"

namespace bot_bottle::websocket {
namespace {

constexpr std::size_t piece = std::size_t{16} << 10;
constexpr std::size_t max_control = 125;

bool is_control(Opcode opcode) {
  return (static_cast<unsigned>(opcode) & 8U) != 0;
}

bool is_known(unsigned opcode) {
  return opcode <= 2 || (opcode >= 8 && opcode <= 10);
}

/// What may stand in a Close frame (§7.4, the IANA registry).
bool is_close_code(unsigned code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

/// Octets a head has in all, as far as its first two tell.
std::size_t head_length(unsigned char second) {
  const unsigned size = second & 0x7fU;
  return 2U + (size == 126 ? 2U : size == 127 ? 8U : 0U) + ((second & 0x80U) != 0 ? 4U : 0U);
}

}  // namespace

FrameReader::Event FrameReader::fail(Problem problem) {
  problem_ = problem;
  state_ = State::failed;
  bytes_.clear();
  return Event::bad;
}

bool FrameReader::read_head(std::string_view& input) {
  while (!input.empty()) {
    head_[head_size_++] = static_cast<unsigned char>(input.front());
    input.remove_prefix(1);
    if (head_size_ >= 2 && head_size_ == head_length(head_[1])) return true;
  }
  return false;
}

Problem FrameReader::check_head() {
  if (closed_) return Problem::after_close;
  if ((head_[0] & 0x70U) != 0) return Problem::reserved_bit;
  const unsigned opcode = head_[0] & 0x0fU;
  if (!is_known(opcode)) return Problem::unknown_opcode;
  opcode_ = static_cast<Opcode>(opcode);
  final_ = (head_[0] & 0x80U) != 0;
  const bool masked = (head_[1] & 0x80U) != 0;
  if (masked != (sender_ == Sender::client)) return Problem::wrong_masking;
  const unsigned short_size = head_[1] & 0x7fU;
  const std::size_t more = short_size == 126 ? 2 : short_size == 127 ? 8 : 0;
  left_ = more == 0 ? short_size : 0;
  for (std::size_t i = 0; i < more; ++i) left_ = (left_ << 8U) | head_[2 + i];
  if ((more == 2 && left_ < 126) || (more == 8 && left_ <= 0xffff)) return Problem::padded_length;
  if (left_ >> 63U != 0) return Problem::huge_length;
  for (std::size_t i = 0; masked && i < 4; ++i) mask_[i] = head_[2 + more + i];
  if (!masked) mask_ = {};
  mask_at_ = 0;
  if (is_control(opcode_)) {
    if (left_ > max_control) return Problem::long_control;
    return final_ ? Problem::none : Problem::fragmented_control;
  }
  if (opcode_ == Opcode::continuation) return in_message_ ? Problem::none : Problem::stray_continuation;
  if (in_message_) return Problem::message_in_message;
  in_message_ = true;
  kind_ = opcode_;
  utf8_.reset();
  return Problem::none;
}

Problem FrameReader::check_close() const {
  if (bytes_.empty()) return Problem::none;
  if (bytes_.size() < 2) return Problem::bad_close;
  const unsigned code =
      static_cast<unsigned char>(bytes_[0]) * 256U + static_cast<unsigned>(static_cast<unsigned char>(bytes_[1]));
  if (!is_close_code(code)) return Problem::bad_close;
  return is_valid_utf8(std::string_view(bytes_).substr(2)) ? Problem::none : Problem::bad_utf8;
}

FrameReader::Event FrameReader::end_of_frame() {
  state_ = State::head;
  head_size_ = 0;
  if (is_control(opcode_)) {
    if (opcode_ == Opcode::close) {
      if (const Problem problem = check_close(); problem != Problem::none) return fail(problem);
      closed_ = true;
    }
    return Event::control;
  }
  if (!final_) return Event::data;
  in_message_ = false;
  return Event::message_end;
}

FrameReader::Event FrameReader::next(std::string_view& input) {
  if (state_ == State::failed) return Event::bad;
  while (true) {
    if (state_ == State::head) {
      if (!read_head(input)) return Event::need_more;
      if (const Problem problem = check_head(); problem != Problem::none) return fail(problem);
      state_ = State::payload;
      bytes_.clear();
    } else if (!is_control(opcode_)) {
      bytes_.clear();
    }
    const auto size =
        static_cast<std::size_t>(std::min<std::uint64_t>(std::min(left_, std::uint64_t{piece}), input.size()));
    for (std::size_t i = 0; i < size; ++i) {
      const auto octet = static_cast<unsigned char>(input[i]);
      bytes_.push_back(static_cast<char>(octet ^ mask_[mask_at_++ & 3U]));
    }
    input.remove_prefix(size);
    left_ -= size;
    if (is_control(opcode_)) {
      if (left_ > 0) return Event::need_more;
      return end_of_frame();
    }
    if (kind_ == Opcode::text && !utf8_.add(bytes_)) return fail(Problem::bad_utf8);
    if (size > 0) {
      // The end of the frame, if this was it, is told by the next call.
      return Event::data;
    }
    if (left_ > 0) return Event::need_more;
    if (final_ && kind_ == Opcode::text && !utf8_.is_complete()) return fail(Problem::bad_utf8);
    const Event event = end_of_frame();
    if (event != Event::data) return event;
  }
}

void write_frame(std::string& out, Opcode opcode, bool final, std::string_view payload,
                 const std::optional<Mask>& mask) {
  const unsigned mask_bit = mask ? 0x80U : 0U;
  out.push_back(static_cast<char>((final ? 0x80U : 0U) | static_cast<unsigned>(opcode)));
  const std::uint64_t size = payload.size();
  const unsigned more = size < 126 ? 0 : size <= 0xffff ? 2 : 8;
  out.push_back(static_cast<char>(mask_bit | (more == 0 ? static_cast<unsigned>(size) : more == 2 ? 126U : 127U)));
  for (unsigned i = more; i-- > 0;) out.push_back(static_cast<char>((size >> (8 * i)) & 0xffU));
  if (!mask) {
    out.append(payload);
    return;
  }
  for (const unsigned char octet : *mask) out.push_back(static_cast<char>(octet));
  for (std::size_t i = 0; i < payload.size(); ++i)
    out.push_back(static_cast<char>(static_cast<unsigned char>(payload[i]) ^ (*mask)[i & 3U]));
}

std::string close_payload(std::uint16_t code, std::string_view reason) {
  std::string out;
  out.push_back(static_cast<char>(code >> 8U));
  out.push_back(static_cast<char>(code & 0xffU));
  out.append(reason.substr(0, max_control - 2));
  return out;
}

std::uint16_t close_code_of(Problem problem) {
  return problem == Problem::bad_utf8 ? 1007 : 1002;
}

std::string_view text_of(Problem problem) {
  switch (problem) {
    case Problem::none:
      return "nothing wrong";
    case Problem::reserved_bit:
      return "a reserved bit is set (no extension was agreed on)";
    case Problem::unknown_opcode:
      return "an unknown opcode";
    case Problem::wrong_masking:
      return "a frame is masked, or not, against the rule for its sender";
    case Problem::long_control:
      return "a control frame is longer than 125 octets";
    case Problem::fragmented_control:
      return "a control frame is fragmented";
    case Problem::stray_continuation:
      return "a continuation of no message";
    case Problem::message_in_message:
      return "a message begins inside another";
    case Problem::padded_length:
      return "a length is not written in its shortest form";
    case Problem::huge_length:
      return "a length has its highest bit set";
    case Problem::bad_utf8:
      return "a text is not UTF-8";
    case Problem::bad_close:
      return "a Close frame is malformed";
    case Problem::after_close:
      return "a frame after Close";
  }
  return "malformed";
}

}  // namespace bot_bottle::websocket
