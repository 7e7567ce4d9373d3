#include "sidecar/http2/flood.hpp"

#include <algorithm>

namespace bot_bottle::http2 {
namespace {

enum FrameType : unsigned char {
  data = 0,
  headers = 1,
  priority = 2,
  rst_stream = 3,
  settings = 4,
  push_promise = 5,
  ping = 6,
  goaway = 7,
  window_update = 8,
  continuation = 9,
};
constexpr unsigned char flag_end_stream = 0x1;
constexpr unsigned char flag_ack = 0x1;
constexpr unsigned char flag_end_headers = 0x4;
constexpr unsigned char flag_padded = 0x8;
constexpr std::size_t most_padding = 256;
constexpr std::size_t max_block_octets = std::size_t{64} << 10;
constexpr unsigned max_continuations = 16;

}  // namespace

bool FloodGuard::spend(std::int64_t cost) {
  budget_ -= cost * 1000;
  return budget_ >= 0;
}

void FloodGuard::earn(std::int64_t gain) {
  budget_ = std::min(capacity * 1000, budget_ + gain * 1000);
}

bool FloodGuard::take(std::string_view bytes, std::uint64_t now_ms) {
  if (!started_) filled_ms_ = now_ms;
  started_ = true;
  const std::uint64_t passed = std::min<std::uint64_t>(now_ms - std::min(now_ms, filled_ms_), 60'000);
  budget_ = std::min(capacity * 1000, budget_ + static_cast<std::int64_t>(passed) * gain_per_second);
  filled_ms_ = now_ms;

  const std::size_t preface = std::min(preface_left_, bytes.size());
  preface_left_ -= preface;
  bytes.remove_prefix(preface);
  while (!bytes.empty()) {
    if (payload_left_ > 0) {
      const std::size_t size = std::min(payload_left_, bytes.size());
      payload_left_ -= size;
      bytes.remove_prefix(size);
      continue;
    }
    header_[header_size_++] = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    if (header_size_ < header_.size()) continue;
    header_size_ = 0;
    payload_left_ = (std::size_t{header_[0]} << 16U) | (std::size_t{header_[1]} << 8U) | header_[2];
    if (!on_frame()) return false;
  }
  return true;
}

bool FloodGuard::on_frame() {
  const unsigned char flags = header_[4];
  const std::size_t size = payload_left_;
  switch (header_[3]) {
    case data: {
      const bool nothing = size == 0 || ((flags & flag_padded) != 0 && size <= most_padding);
      if (nothing && (flags & flag_end_stream) == 0) return spend(2);
      if (!nothing) earn(1);
      return true;
    }
    case headers:
    case push_promise:
      in_block_ = (flags & flag_end_headers) == 0;
      block_octets_ = size;
      continuations_ = 0;
      return true;  // streams are bounded by number, fields by their section
    case continuation:
      block_octets_ += size;
      if ((flags & flag_end_headers) != 0) in_block_ = false;
      return ++continuations_ <= max_continuations && block_octets_ <= max_block_octets && spend(4);
    case rst_stream:
      return spend(reset_cost);
    case settings:
      return spend((flags & flag_ack) != 0 ? 1 : 5);
    case ping:
      return spend((flags & flag_ack) != 0 ? 1 : 2);
    case priority:
    case goaway:
    case window_update:
    default:
      return spend(1);
  }
}

}  // namespace bot_bottle::http2
