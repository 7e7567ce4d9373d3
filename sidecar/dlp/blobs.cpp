#include "sidecar/dlp/blobs.hpp"

#include <algorithm>
#include <bit>

#include "sidecar/dlp/octet_skips.hpp"
#include "sidecar/dlp/runs.hpp"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace bot_bottle::dlp {
namespace {
constexpr std::size_t piece_octets = 4096;
}

std::optional<Coding> blob_coding(std::string_view first) {
  if (const auto coding = sniff_coding(first)) return coding;
  // RFC 1950: the method is deflate, the window of 32 KiB, and the two octets are a multiple of 31.
  if (first.size() < 2 || first[0] != '\x78') return std::nullopt;
  const auto flags = static_cast<unsigned char>(first[1]);
  if (flags == 0x01 || flags == 0x5e || flags == 0x9c || flags == 0xda) return Coding::deflate;
  return std::nullopt;
}

std::size_t find_blob(std::string_view text, std::size_t from) {
  const auto begins = [&](std::size_t at) { return blob_coding(text.substr(at, 4)).has_value(); };
#if defined(__x86_64__)
  // By the second octet: unlike the first ones it is seldom in a text.
  const __m128i fastest = _mm_set1_epi8('\x01');
  const __m128i fast = _mm_set1_epi8('^');
  for (from = skip_without_blob(text, from); from + 20 <= text.size(); from += 16) {
    const __m128i octets = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + from + 1));
    const __m128i found =
        _mm_or_si128(octets, _mm_or_si128(_mm_cmpeq_epi8(octets, fastest), _mm_cmpeq_epi8(octets, fast)));
    auto mask = static_cast<unsigned>(_mm_movemask_epi8(found));
    if (mask == 0) {
      from = skip_without_blob(text, from + 16) - 16;
      continue;
    }
    const __m128i before = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + from));
    const __m128i first = _mm_or_si128(
        _mm_cmpeq_epi8(before, _mm_set1_epi8('\x1f')),
        _mm_or_si128(_mm_cmpeq_epi8(before, _mm_set1_epi8('\x28')), _mm_cmpeq_epi8(before, _mm_set1_epi8('\x78'))));
    for (mask &= static_cast<unsigned>(_mm_movemask_epi8(first)); mask != 0; mask &= mask - 1) {
      const std::size_t at = from + static_cast<unsigned>(std::countr_zero(mask));
      if (begins(at)) return at;
    }
  }
#endif
  for (; from + 4 <= text.size(); ++from)
    if (begins(from)) return from;
  return std::string_view::npos;
}

bool Blob::on_decoded(std::string_view bytes) {
  finding_ = inner_.write(bytes, scratch_);
  cleared_ += scratch_.size();
  scratch_.clear();
  return !finding_;
}

bool Blob::read(std::string_view text, std::uint64_t base) {
  while (!over_ && next_ < base + text.size()) {
    const std::string_view rest = text.substr(static_cast<std::size_t>(next_ - base), piece_octets);
    const std::uint64_t piece_begin = next_;
    std::string decoded;
    std::string_view bytes = rest;
    bool ends = false;
    if (bits_ > 0) {
      for (std::size_t i = 0; i < rest.size() && !ends; ++i) {
        const int digit = digit_value(rest[i], bits_);
        // Line breaks, also as "\n" in JSON.
        if (rest[i] == '\r' || rest[i] == '\n' || rest[i] == '\\' || (i > 0 && rest[i - 1] == '\\')) continue;
        ends = digit < 0;
        value_ = (value_ << bits_) | static_cast<unsigned>(std::max(0, digit));
        have_ += bits_;
        if (have_ < 8 || ends) continue;
        have_ -= 8;
        decoded += static_cast<char>((value_ >> have_) & 0xffU);
      }
      bytes = decoded;
    }
    next_ += rest.size();
    const std::uint64_t before = decoder_.decoded();
    const ContentDecoder::Outcome outcome = decoder_.write(bytes, *this);
    if (outcome == ContentDecoder::Outcome::stopped) return false;
    if (outcome == ContentDecoder::Outcome::bad && decoder_.is_bomb()) {
      finding_ = Finding{.rule = "decompression-bomb", .encoding = "plain", .offset = 0, .snippet = {}};
      return false;
    }
    if (decoder_.decoded() > before) marks_.push_back({piece_begin, decoder_.decoded()});
    if (ends || outcome == ContentDecoder::Outcome::bad || outcome == ContentDecoder::Outcome::end) return finish();
  }
  while (!marks_.empty() && marks_.front().decoded <= cleared_) {
    gate_ = std::max(gate_, marks_.front().raw);
    marks_.pop_front();
  }
  return true;
}

bool Blob::finish() {
  if (over_) return true;
  over_ = true;
  gate_ = next_;
  finding_ = inner_.finish(scratch_);
  return !finding_;
}

}  // namespace bot_bottle::dlp
