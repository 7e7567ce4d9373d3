#include "sidecar/dlp/content_decoder.hpp"

#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

#include <array>
#include <utility>

#include "core/base/text.hpp"

namespace bot_bottle::dlp {
namespace {
constexpr std::uint64_t ratio_after = std::uint64_t{4} << 20;
constexpr std::uint64_t max_ratio = 200;
constexpr std::uint64_t max_decoded = std::uint64_t{2} << 30;
constexpr std::size_t piece = std::size_t{32} << 10;
constexpr int zstd_window_log = 23;  // 8 MiB, what RFC 9659 lets a decoder ask for
}  // namespace

struct ContentDecoder::State {
  explicit State(Coding the_coding) : coding(the_coding) {
    switch (coding) {
      case Coding::gzip:
        zlib_ready = inflateInit2(&zlib, 15 + 16) == Z_OK;
        break;
      case Coding::deflate:
        break;  // see write_deflate
      case Coding::brotli:
        brotli = BrotliDecoderCreateInstance(nullptr, nullptr, nullptr);
        break;
      case Coding::zstd:
        zstd = ZSTD_createDStream();
        if (zstd != nullptr) ZSTD_DCtx_setParameter(zstd, ZSTD_d_windowLogMax, zstd_window_log);
        break;
    }
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (zlib_ready) inflateEnd(&zlib);
    if (brotli != nullptr) BrotliDecoderDestroyInstance(brotli);
    if (zstd != nullptr) ZSTD_freeDStream(zstd);
  }

  /// Counts and hands on; nothing when all is well.
  bool bomb = false;

  std::optional<Outcome> give(std::size_t size, Sink& sink) {
    out += size;
    if (out > max_decoded || (out > ratio_after && out / max_ratio > in)) {
      bomb = true;
      return Outcome::bad;
    }
    if (size > 0 && !sink.on_decoded({buffer.data(), size})) return Outcome::stopped;
    return std::nullopt;
  }

  Outcome write_zlib(std::string_view bytes, Sink& sink) {
    if (!zlib_ready) return Outcome::bad;
    const auto* input = reinterpret_cast<const Bytef*>(bytes.data());
    zlib.next_in = const_cast<Bytef*>(input);  // zlib's old interface; it does not write there
    zlib.avail_in = static_cast<uInt>(bytes.size());
    while (true) {
      if (at_end) {
        if (zlib.avail_in == 0) return Outcome::end;
        if (coding != Coding::gzip || inflateReset(&zlib) != Z_OK) return Outcome::bad;
        at_end = false;
      }
      zlib.next_out = reinterpret_cast<Bytef*>(buffer.data());
      zlib.avail_out = static_cast<uInt>(buffer.size());
      const int status = inflate(&zlib, Z_NO_FLUSH);
      if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) return Outcome::bad;
      const std::size_t size = buffer.size() - zlib.avail_out;
      if (auto outcome = give(size, sink)) return *outcome;
      if (status == Z_STREAM_END) {
        at_end = true;
        continue;
      }
      if (zlib.avail_in == 0 && zlib.avail_out != 0) return Outcome::more;
      if (status == Z_BUF_ERROR && size == 0) return Outcome::more;
    }
  }

  /// Half the world means raw deflate by "deflate" (RFC 9110 §8.4.1.2 notes it): zlib's two octets of header tell.
  Outcome write_deflate(std::string_view bytes, Sink& sink) {
    if (zlib_ready) return write_zlib(bytes, sink);
    first.append(bytes);
    if (first.size() < 2) return Outcome::more;
    const auto method = static_cast<unsigned char>(first[0]);
    const auto flags = static_cast<unsigned char>(first[1]);
    const bool header = (method & 0x0fU) == 8 && (method * 256U + flags) % 31 == 0;
    zlib_ready = inflateInit2(&zlib, header ? 15 : -15) == Z_OK;
    return write_zlib(std::exchange(first, {}), sink);
  }

  Outcome write_brotli(std::string_view bytes, Sink& sink) {
    if (brotli == nullptr) return Outcome::bad;
    if (at_end) return bytes.empty() ? Outcome::end : Outcome::bad;
    std::size_t left = bytes.size();
    const auto* next = reinterpret_cast<const std::uint8_t*>(bytes.data());
    while (true) {
      std::size_t room = buffer.size();
      auto* target = reinterpret_cast<std::uint8_t*>(buffer.data());
      const BrotliDecoderResult result = BrotliDecoderDecompressStream(brotli, &left, &next, &room, &target, nullptr);
      if (auto outcome = give(buffer.size() - room, sink)) return *outcome;
      if (result == BROTLI_DECODER_RESULT_ERROR) return Outcome::bad;
      if (result == BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT) return Outcome::more;
      if (result == BROTLI_DECODER_RESULT_SUCCESS) {
        at_end = true;
        return left == 0 ? Outcome::end : Outcome::bad;
      }
    }
  }

  Outcome write_zstd(std::string_view bytes, Sink& sink) {
    if (zstd == nullptr) return Outcome::bad;
    ZSTD_inBuffer input{bytes.data(), bytes.size(), 0};
    while (true) {
      if (at_end && input.pos == input.size) return Outcome::end;
      ZSTD_outBuffer output{buffer.data(), buffer.size(), 0};
      const std::size_t before = input.pos;
      const std::size_t status = ZSTD_decompressStream(zstd, &output, &input);
      if (ZSTD_isError(status) != 0) return Outcome::bad;
      if (auto outcome = give(output.pos, sink)) return *outcome;
      at_end = status == 0;
      if (input.pos == input.size && output.pos < output.size) return at_end ? Outcome::end : Outcome::more;
      if (input.pos == before && output.pos == 0) return Outcome::more;
    }
  }

  Coding coding;
  z_stream zlib{};
  bool zlib_ready = false;
  BrotliDecoderState* brotli = nullptr;
  ZSTD_DStream* zstd = nullptr;
  bool at_end = false;
  std::string first;  // of a deflate body, until its kind is known
  std::uint64_t in = 0;
  std::uint64_t out = 0;
  std::array<char, piece> buffer{};
};

std::optional<Coding> parse_coding(std::string_view text) {
  const std::string_view name = trim(text);
  if (equals_ignoring_case(name, "gzip") || equals_ignoring_case(name, "x-gzip")) return Coding::gzip;
  if (equals_ignoring_case(name, "deflate")) return Coding::deflate;
  if (equals_ignoring_case(name, "br")) return Coding::brotli;
  if (equals_ignoring_case(name, "zstd")) return Coding::zstd;
  return std::nullopt;
}

std::optional<Coding> sniff_coding(std::string_view first) {
  if (first.starts_with(std::string_view("\x1f\x8b\x08", 3))) return Coding::gzip;
  if (first.starts_with(std::string_view("\x28\xb5\x2f\xfd", 4))) return Coding::zstd;
  return std::nullopt;
}

ContentDecoder::ContentDecoder(Coding coding) : state_(std::make_unique<State>(coding)) {}
ContentDecoder::~ContentDecoder() = default;

ContentDecoder::Outcome ContentDecoder::write(std::string_view bytes, Sink& sink) {
  state_->in += bytes.size();
  switch (state_->coding) {
    case Coding::gzip:
      return state_->write_zlib(bytes, sink);
    case Coding::deflate:
      return state_->write_deflate(bytes, sink);
    case Coding::brotli:
      return state_->write_brotli(bytes, sink);
    case Coding::zstd:
      return state_->write_zstd(bytes, sink);
  }
  return Outcome::bad;
}

bool ContentDecoder::is_bomb() const {
  return state_->bomb;
}

std::uint64_t ContentDecoder::decoded() const {
  return state_->out;
}

}  // namespace bot_bottle::dlp
