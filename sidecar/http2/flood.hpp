// Walks the frame headers of what a peer sends and counts those that cost more than they carry: rapid reset
// (CVE-2023-44487), CONTINUATION floods (CVE-2024-24549 and kin), PING, SETTINGS and empty-DATA floods (CVE-2019-9512
// to 9518). It runs before nghttp2, so it does not depend on which of them the installed version knows. Hostile input:
// every octet. Guarded by unit_sidecar_http2 and integration/egress/http2_attacks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bot_bottle::http2 {

/// A bucket of 1000 that gains 100 a second and one for each frame that carried something. Pure arithmetic on the clock
/// it is given.
class FloodGuard {
 public:
  enum class Preface : std::uint8_t { expected, none };
  explicit FloodGuard(Preface preface) : preface_left_(preface == Preface::expected ? 24 : 0) {}

  /// False: a flood, or a header block over its bounds. Final.
  [[nodiscard]] bool take(std::string_view bytes, std::uint64_t now_ms);
  /// A stream that we had to reset because of what the peer did on it ("made you reset", CVE-2025-8671).
  [[nodiscard]] bool take_own_reset() { return spend(reset_cost); }
  /// A frame with content went out: what answers it (WINDOW_UPDATE) is paid for.
  void on_content_sent() { earn(2); }
  /// In the middle of a header block, whose end must come in time.
  [[nodiscard]] bool in_header_block() const { return in_block_; }

 private:
  static constexpr std::int64_t capacity = 1000;
  static constexpr std::int64_t gain_per_second = 100;
  static constexpr std::int64_t reset_cost = 5;
  bool on_frame();
  bool spend(std::int64_t cost);
  void earn(std::int64_t gain);

  std::size_t preface_left_;
  std::array<unsigned char, 9> header_{};
  std::size_t header_size_ = 0;
  std::size_t payload_left_ = 0;
  std::int64_t budget_ = capacity * 1000;  // in thousandths
  std::uint64_t filled_ms_ = 0;
  bool started_ = false;
  bool in_block_ = false;
  std::size_t block_octets_ = 0;
  unsigned continuations_ = 0;
};

}  // namespace bot_bottle::http2
