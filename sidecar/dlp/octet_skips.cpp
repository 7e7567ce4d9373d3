#include "sidecar/dlp/octet_skips.hpp"

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bot_bottle::dlp {

#if defined(__x86_64__)
namespace {

#define BB_WIDE __attribute__((target("avx512f,avx512bw")))
constexpr std::size_t block_octets = 64;

/// Whether this processor has what BB_WIDE asks for; octet_classes asks the same.
bool is_wide() {
  static const bool wide = __builtin_cpu_supports("avx512bw") != 0;
  return wide;
}

BB_WIDE inline std::uint64_t equal_to(__m512i octets, char c) {
  return _mm512_cmpeq_epi8_mask(octets, _mm512_set1_epi8(c));
}
/// Each of the four lanes of 16 has one of the bits.
inline bool in_each_lane(std::uint64_t mask) {
  constexpr std::uint64_t lane = 0xffffU;
  return (mask & lane) != 0 && (mask & lane << 16U) != 0 && (mask & lane << 32U) != 0 && (mask & lane << 48U) != 0;
}

struct NoBackslash {
  BB_WIDE bool operator()(__m512i octets) const { return equal_to(octets, '\\') == 0; }
};
struct Neither {
  char one;
  char other;
  BB_WIDE bool operator()(__m512i octets) const { return (equal_to(octets, one) | equal_to(octets, other)) == 0; }
};
struct NoEscape {
  BB_WIDE bool operator()(__m512i octets) const {
    std::uint64_t found = _mm512_movepi8_mask(octets) | equal_to(octets, '%') | equal_to(octets, '&');
    const std::uint64_t backslashes = equal_to(octets, '\\');
    // The last of the block is asked about: what follows it is not at hand.
    if (backslashes != 0) found |= backslashes & ~((equal_to(octets, 'n') | equal_to(octets, '"')) >> 1U);
    return found == 0;
  }
};
struct NoRun {
  BB_WIDE bool operator()(__m512i octets) const {
    return in_each_lane(_mm512_cmplt_epi8_mask(octets, _mm512_set1_epi8('+')));
  }
};
struct NoPairs {
  BB_WIDE bool operator()(__m512i octets) const {
    const __m512i letter = _mm512_sub_epi8(_mm512_or_si512(octets, _mm512_set1_epi8(0x20)), _mm512_set1_epi8('a'));
    const __m512i digit = _mm512_sub_epi8(octets, _mm512_set1_epi8('0'));
    const std::uint64_t hex =
        _mm512_cmple_epu8_mask(letter, _mm512_set1_epi8(5)) | _mm512_cmple_epu8_mask(digit, _mm512_set1_epi8(9));
    constexpr std::uint64_t begins_three = 0x3fff3fff3fff3fffU;  // inside of its lane
    const std::uint64_t all = hex & (hex >> 1U) & (hex >> 2U);
    const std::uint64_t none = ~hex & (~hex >> 1U) & (~hex >> 2U);
    return in_each_lane((all | none) & begins_three);
  }
};
struct NoBlob {
  BB_WIDE bool operator()(__m512i octets) const {
    return (_mm512_movepi8_mask(octets) | equal_to(octets, '\x01') | equal_to(octets, '^')) == 0;
  }
};

template <typename IsPlain>
BB_WIDE std::size_t skip_wide(std::string_view text, std::size_t from, IsPlain is_plain) {
  while (from + block_octets <= text.size() && is_plain(_mm512_loadu_si512(text.data() + from))) from += block_octets;
  return from;
}

#undef BB_WIDE

}  // namespace

std::size_t skip_without_backslash(std::string_view text, std::size_t from) {
  return is_wide() ? skip_wide(text, from, NoBackslash()) : from;
}
std::size_t skip_without_either(std::string_view text, std::size_t from, char one, char other) {
  return is_wide() ? skip_wide(text, from, Neither{one, other}) : from;
}
std::size_t skip_without_escape(std::string_view text, std::size_t from) {
  return is_wide() ? skip_wide(text, from, NoEscape()) : from;
}
std::size_t skip_without_run(std::string_view text, std::size_t from) {
  return is_wide() ? skip_wide(text, from, NoRun()) : from;
}
std::size_t skip_without_pairs(std::string_view text, std::size_t from) {
  return is_wide() ? skip_wide(text, from, NoPairs()) : from;
}
std::size_t skip_without_blob(std::string_view text, std::size_t from) {
  return is_wide() && from < text.size() ? skip_wide(text, from + 1, NoBlob()) - 1 : from;
}

#else

std::size_t skip_without_backslash(std::string_view, std::size_t from) {
  return from;
}
std::size_t skip_without_either(std::string_view, std::size_t from, char, char) {
  return from;
}
std::size_t skip_without_escape(std::string_view, std::size_t from) {
  return from;
}
std::size_t skip_without_run(std::string_view, std::size_t from) {
  return from;
}
std::size_t skip_without_pairs(std::string_view, std::size_t from) {
  return from;
}
std::size_t skip_without_blob(std::string_view, std::size_t from) {
  return from;
}

#endif

}  // namespace bot_bottle::dlp
