// Frames that cost more than they carry, however they are cut into reads.
#include "sidecar/http2/flood.hpp"

#include <gtest/gtest.h>

#include <string>

namespace bot_bottle::http2 {
namespace {

std::string frame(unsigned char type, unsigned char flags, std::size_t size) {
  std::string out;
  for (const unsigned shift : {16U, 8U, 0U}) out.push_back(static_cast<char>((size >> shift) & 0xffU));
  out.push_back(static_cast<char>(type));
  out.push_back(static_cast<char>(flags));
  return out + std::string("\0\0\0\1", 4) + std::string(size, 'x');
}

/// How many of `unit` are let through, at most `limit`.
int let_through(FloodGuard& guard, const std::string& unit, int limit, std::uint64_t now_ms = 0) {
  for (int i = 0; i < limit; ++i) {
    if (!guard.take(unit, now_ms)) return i;
  }
  return limit;
}

TEST(Http2Flood, frames_that_carry_nothing_run_out) {
  const std::string units[] = {frame(3, 0, 4), frame(4, 0, 6), frame(6, 0, 8), frame(2, 0, 5),
                               frame(8, 0, 4), frame(0, 0, 0), frame(0, 8, 9), frame(99, 0, 1)};
  for (const std::string& unit : units) {
    FloodGuard guard(FloodGuard::Preface::none);
    EXPECT_LE(let_through(guard, unit, 2000), 1000) << int{unit[3]};
  }
}

TEST(Http2Flood, work_is_never_a_flood) {
  FloodGuard guard(FloodGuard::Preface::none);
  const std::string exchange = frame(1, 4, 50) + frame(0, 0, 1000) + frame(0, 1, 0) + frame(8, 0, 4);
  EXPECT_EQ(let_through(guard, exchange, 20000), 20000);
  // A download: what answers our frames is paid for by them.
  for (int i = 0; i < 20000; ++i) {
    guard.on_content_sent();
    ASSERT_TRUE(guard.take(frame(8, 0, 4) + frame(8, 0, 4), 0)) << i;
  }
}

TEST(Http2Flood, time_forgives_at_a_bounded_rate) {
  FloodGuard guard(FloodGuard::Preface::none);
  EXPECT_EQ(let_through(guard, frame(6, 0, 8), 500), 500);
  EXPECT_FALSE(guard.take(frame(6, 0, 8), 0));
  FloodGuard patient(FloodGuard::Preface::none);
  for (std::uint64_t second = 0; second < 1000; ++second) {
    ASSERT_EQ(let_through(patient, frame(6, 0, 8), 50, second * 1000), 50) << second;
  }
}

TEST(Http2Flood, a_header_block_is_bounded_in_frames_and_octets) {
  FloodGuard frames(FloodGuard::Preface::none);
  ASSERT_TRUE(frames.take(frame(1, 0, 10), 0));
  EXPECT_TRUE(frames.in_header_block());
  EXPECT_EQ(let_through(frames, frame(9, 0, 1), 100), 16);
  FloodGuard octets(FloodGuard::Preface::none);
  ASSERT_TRUE(octets.take(frame(1, 0, 10), 0));
  EXPECT_EQ(let_through(octets, frame(9, 0, 16000), 100), 4);
  FloodGuard good(FloodGuard::Preface::none);
  ASSERT_TRUE(good.take(frame(1, 0, 10) + frame(9, 4, 10), 0));
  EXPECT_FALSE(good.in_header_block());
}

TEST(Http2Flood, how_the_octets_are_cut_makes_no_difference) {
  const std::string all = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 12) + frame(1, 0, 40) + frame(9, 4, 3) +
                          frame(0, 0, 300) + frame(3, 0, 4);
  FloodGuard whole(FloodGuard::Preface::expected);
  FloodGuard cut(FloodGuard::Preface::expected);
  std::string octets;
  for (int i = 0; i < 400; ++i) octets += i == 0 ? all : all.substr(24);
  bool first = true;
  bool second = true;
  for (std::size_t at = 0; at < octets.size() && second; ++at) second = cut.take(octets.substr(at, 1), 0);
  for (std::size_t at = 0; at < octets.size() && first; at += 1000) first = whole.take(octets.substr(at, 1000), 0);
  EXPECT_EQ(first, second);
  EXPECT_FALSE(first);
}

}  // namespace
}  // namespace bot_bottle::http2
