// Compressed data inside a body: gzip, zlib and zstd by their first octets, as they are or as base64 or hex, and what
// they hold as it streams. (Brotli has no first octets to know it by: only a declared one is read, by egress.)
// Internal to sidecar/dlp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "sidecar/dlp/content_decoder.hpp"
#include "sidecar/dlp/scanner.hpp"

namespace bot_bottle::dlp {

/// Of the first octets of a blob.
std::optional<Coding> blob_coding(std::string_view first);

/// Where raw compressed data may begin at or after `from`; npos when nowhere.
std::size_t find_blob(std::string_view text, std::size_t from);

class Blob final : public ContentDecoder::Sink {
 public:
  /// `begin`: in the body. `bits`: of the digits it is written in, 0 when it is not. `inner` scans what it holds.
  Blob(Coding coding, std::uint64_t begin, unsigned bits, Stream inner)
      : decoder_(coding),
        coding_(coding),
        begin_(begin),
        next_(begin),
        gate_(begin),
        bits_(bits),
        inner_(std::move(inner)) {}

  /// `text` is the body from `base` on. False: something was found.
  bool read(std::string_view text, std::uint64_t base);
  bool finish();

  [[nodiscard]] bool over() const { return over_; }
  [[nodiscard]] const std::optional<Finding>& finding() const { return finding_; }
  [[nodiscard]] std::uint64_t begin() const { return begin_; }
  /// Where octets begin that have not been read to the end.
  [[nodiscard]] std::uint64_t hold() const { return gate_; }
  [[nodiscard]] std::uint64_t work() const { return decoder_.decoded() + inner_.work(); }
  [[nodiscard]] std::size_t held() const { return inner_.held(); }
  [[nodiscard]] std::string_view name() const {
    return coding_ == Coding::gzip ? "gzip" : coding_ == Coding::zstd ? "zstd" : "deflate";
  }

  bool on_decoded(std::string_view bytes) override;

 private:
  struct Mark {
    std::uint64_t raw = 0;
    std::uint64_t decoded = 0;
  };
  ContentDecoder decoder_;
  Coding coding_;
  std::uint64_t begin_;
  std::uint64_t next_;
  std::uint64_t gate_;
  unsigned bits_;
  unsigned value_ = 0;
  unsigned have_ = 0;
  Stream inner_;
  std::uint64_t cleared_ = 0;
  std::deque<Mark> marks_;
  std::string scratch_;
  std::optional<Finding> finding_;
  bool over_ = false;
};

}  // namespace bot_bottle::dlp
