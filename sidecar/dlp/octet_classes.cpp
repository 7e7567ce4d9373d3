#include "sidecar/dlp/octet_classes.hpp"

#include <algorithm>
#include <array>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bot_bottle::dlp {
namespace {

OctetClasses classes_of(std::string_view block) {
  OctetClasses classes;
  for (std::size_t i = 0; i < block.size(); ++i) {
    const char c = block[i];
    const std::uint64_t bit = std::uint64_t{1} << i;
    if (c >= '0' && c <= '9') classes.digits |= bit;
    if (c >= 'A' && c <= 'Z') classes.upper |= bit;
    if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')) classes.letters |= bit;
    if (c == ' ' || c == '-') classes.joints |= bit;
    if (c == '_') classes.underscores |= bit;
  }
  return classes;
}

#if defined(__x86_64__)

__attribute__((target("avx2"))) std::size_t classify_by_halves(const char* text, std::size_t blocks,
                                                               OctetClasses* out) {
  const __m256i lower_bit = _mm256_set1_epi8(0x20);
  const __m256i letter_a = _mm256_set1_epi8('a');
  const __m256i digit_0 = _mm256_set1_epi8('0');
  const __m256i last_letter = _mm256_set1_epi8(25);
  const __m256i last_digit = _mm256_set1_epi8(9);
  for (std::size_t block = 0; block < blocks; ++block) {
    std::array<OctetClasses, 2> halves;
    for (std::size_t half = 0; half < 2; ++half) {
      const char* at = text + block * class_block_octets + half * 32;
      const __m256i octets = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
      const __m256i lower = _mm256_or_si256(octets, lower_bit);
      const __m256i letter = _mm256_sub_epi8(lower, letter_a);
      const __m256i digit = _mm256_sub_epi8(octets, digit_0);
      const __m256i is_letter = _mm256_cmpeq_epi8(_mm256_min_epu8(letter, last_letter), letter);
      const __m256i is_digit = _mm256_cmpeq_epi8(_mm256_min_epu8(digit, last_digit), digit);
      const __m256i is_upper = _mm256_andnot_si256(_mm256_cmpeq_epi8(octets, lower), is_letter);
      const __m256i is_joint =
          _mm256_or_si256(_mm256_cmpeq_epi8(octets, lower_bit), _mm256_cmpeq_epi8(octets, _mm256_set1_epi8('-')));
      const __m256i is_underscore = _mm256_cmpeq_epi8(octets, _mm256_set1_epi8('_'));
      halves[half].digits = static_cast<unsigned>(_mm256_movemask_epi8(is_digit));
      halves[half].letters = static_cast<unsigned>(_mm256_movemask_epi8(is_letter));
      halves[half].upper = static_cast<unsigned>(_mm256_movemask_epi8(is_upper));
      halves[half].joints = static_cast<unsigned>(_mm256_movemask_epi8(is_joint));
      halves[half].underscores = static_cast<unsigned>(_mm256_movemask_epi8(is_underscore));
    }
    out[block] = {halves[0].digits | halves[1].digits << 32U, halves[0].letters | halves[1].letters << 32U,
                  halves[0].upper | halves[1].upper << 32U, halves[0].joints | halves[1].joints << 32U,
                  halves[0].underscores | halves[1].underscores << 32U};
  }
  return blocks;
}

__attribute__((target("avx512f,avx512bw"))) std::size_t classify_by_wholes(const char* text, std::size_t blocks,
                                                                           OctetClasses* out) {
  const __m512i lower_bit = _mm512_set1_epi8(0x20);
  const __m512i last_letter = _mm512_set1_epi8(25);
  for (std::size_t block = 0; block < blocks; ++block) {
    const __m512i octets = _mm512_loadu_si512(text + block * class_block_octets);
    const __m512i letter = _mm512_sub_epi8(_mm512_or_si512(octets, lower_bit), _mm512_set1_epi8('a'));
    const __m512i upper = _mm512_sub_epi8(octets, _mm512_set1_epi8('A'));
    const __m512i digit = _mm512_sub_epi8(octets, _mm512_set1_epi8('0'));
    out[block] = {_mm512_cmple_epu8_mask(digit, _mm512_set1_epi8(9)), _mm512_cmple_epu8_mask(letter, last_letter),
                  _mm512_cmple_epu8_mask(upper, last_letter),
                  _mm512_cmpeq_epi8_mask(octets, lower_bit) | _mm512_cmpeq_epi8_mask(octets, _mm512_set1_epi8('-')),
                  _mm512_cmpeq_epi8_mask(octets, _mm512_set1_epi8('_'))};
  }
  return blocks;
}

template <std::size_t (*blocks)(const char*, std::size_t, OctetClasses*)>
std::size_t with_the_rest(std::string_view text, std::span<OctetClasses> out) {
  const std::size_t done = blocks(text.data(), text.size() / class_block_octets, out.data());
  return done + classify_octets_plainly(text.substr(done * class_block_octets), out.subspan(done));
}

#endif

}  // namespace

std::size_t classify_octets_plainly(std::string_view text, std::span<OctetClasses> out) {
  std::size_t count = 0;
  for (; !text.empty(); text.remove_prefix(std::min(text.size(), class_block_octets)))
    out[count++] = classes_of(text.substr(0, class_block_octets));
  return count;
}

std::vector<ClassifyOctets> class_ways() {
  std::vector<ClassifyOctets> ways;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bw") != 0) ways.push_back(with_the_rest<classify_by_wholes>);
  if (__builtin_cpu_supports("avx2") != 0) ways.push_back(with_the_rest<classify_by_halves>);
#endif
  ways.push_back(classify_octets_plainly);
  return ways;
}

std::size_t classify_octets(std::string_view text, std::span<OctetClasses> out) {
  static const ClassifyOctets fastest = class_ways().front();
  return fastest(text, out);
}

}  // namespace bot_bottle::dlp
