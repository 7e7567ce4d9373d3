#include "sidecar/dlp/skeleton.hpp"

#include <algorithm>
#include <array>
#include <bit>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bot_bottle::dlp {

void append_skeleton_plainly(std::string& out, std::string_view text, SkeletonState& state) {
  for (const char c : text) {
    if (is_kept(state.previous, c)) {
      if (state.gap > max_gap_octets) out += barrier;
      out += static_cast<char>(static_cast<unsigned char>(c) | 0x20U);
      state.gap = 0;
    } else {
      ++state.gap;
    }
    state.previous = c;
  }
}

#if defined(__x86_64__)
namespace {

constexpr std::size_t width = 16;

/// For each mask of eight octets: the shuffle that moves the chosen ones to the front.
constexpr auto make_shuffles() {
  std::array<std::array<std::uint8_t, 8>, 256> all{};
  for (unsigned mask = 0; mask < 256; ++mask) {
    std::size_t next = 0;
    for (std::uint8_t bit = 0; bit < 8; ++bit)
      if (((mask >> bit) & 1U) != 0) all[mask][next++] = bit;
  }
  return all;
}
constexpr auto shuffles = make_shuffles();

// Hyperscan needs SSSE3 as well, so it is there.
__attribute__((target("ssse3"))) inline char* compress8(char* out, __m128i octets, unsigned mask) {
  const __m128i shuffle = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(shuffles[mask].data()));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(out), _mm_shuffle_epi8(octets, shuffle));
  return out + std::popcount(mask);
}

}  // namespace

__attribute__((target("ssse3"))) void append_skeleton(std::string& out, std::string_view text, SkeletonState& state) {
  const std::size_t before = out.size();
  out.resize(before + text.size() + text.size() / max_gap_octets + 2 * width);
  char* to = out.data() + before;
  const __m128i lower_bit = _mm_set1_epi8(0x20);
  const __m128i letter_a = _mm_set1_epi8('a');
  const __m128i digit_0 = _mm_set1_epi8('0');
  const __m128i last_letter = _mm_set1_epi8(25);
  const __m128i last_digit = _mm_set1_epi8(9);
  const __m128i backslash = _mm_set1_epi8('\\');
  std::size_t at = 0;
  std::size_t gap = state.gap;
  for (; at + width <= text.size(); at += width) {
    const __m128i octets = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + at));
    const __m128i lower = _mm_or_si128(octets, lower_bit);
    const __m128i letter = _mm_sub_epi8(lower, letter_a);
    const __m128i digit = _mm_sub_epi8(octets, digit_0);
    const __m128i kept = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(letter, last_letter), letter),
                                      _mm_cmpeq_epi8(_mm_min_epu8(digit, last_digit), digit));
    auto mask = static_cast<unsigned>(_mm_movemask_epi8(kept));
    auto escapes = static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(octets, backslash))) << 1U;
    const char previous = at == 0 ? state.previous : text[at - 1];
    if (previous == '\\') escapes |= 1U;
    for (escapes &= mask; escapes != 0; escapes &= escapes - 1) {
      const unsigned bit = static_cast<unsigned>(std::countr_zero(escapes));
      if (!is_kept('\\', text[at + bit])) mask &= ~(1U << bit);
    }
    if (mask == 0) {
      gap += width;
      continue;
    }
    if (gap + static_cast<unsigned>(std::countr_zero(mask)) > max_gap_octets) *to++ = barrier;
    gap = width - static_cast<unsigned>(std::bit_width(mask));
    to = compress8(to, lower, mask & 255U);
    to = compress8(to, _mm_srli_si128(lower, 8), mask >> 8U);
  }
  if (at > 0) state.previous = text[at - 1];
  state.gap = gap;
  out.resize(static_cast<std::size_t>(to - out.data()));
  append_skeleton_plainly(out, text.substr(at), state);
}
#else
void append_skeleton(std::string& out, std::string_view text, SkeletonState& state) {
  append_skeleton_plainly(out, text, state);
}
#endif

std::size_t go_back(std::string_view text, std::size_t end, std::size_t count, Barriers barriers) {
  std::size_t last = end;
  std::size_t gap = 0;
  bool any = false;
  for (std::size_t at = end; at > 0 && count > 0;) {
    --at;
    if (!is_kept(at > 0 ? text[at - 1] : '\0', text[at])) {
      ++gap;
      continue;
    }
    if (gap > max_gap_octets) {
      if (barriers == Barriers::stop) return last;
      // Behind the last kept octet nothing has been written yet, so no barrier either.
      if (any && --count == 0) return at;
    }
    gap = 0;
    any = true;
    last = at;
    --count;
  }
  return count > 0 && barriers == Barriers::count ? 0 : last;
}

}  // namespace bot_bottle::dlp
