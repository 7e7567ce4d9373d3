// Takes a content coding off a body as it streams, so that it can be scanned. Hostile input: every octet.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace bot_bottle::dlp {

enum class Coding : std::uint8_t { gzip, deflate, brotli, zstd };

/// The coding a `Content-Encoding` names, "x-gzip" included; nothing for another, and for a list of two.
std::optional<Coding> parse_coding(std::string_view text);
/// gzip or zstd by their first octets (at least four): agents compress without saying so (attack A15).
std::optional<Coding> sniff_coding(std::string_view first);

/// Bounded: at most 200 octets out for one in once 4 MiB came out, at most 2 GiB in all (decompression bombs, attack
/// L).
class ContentDecoder {
 public:
  enum class Outcome : std::uint8_t {
    more,     // all input was used; there may be more
    end,      // all input was used and the coded data may end here
    stopped,  // the sink said no
    bad,      // not this coding, damaged, or a bomb
  };
  /// Gets decoded pieces; returns false to stop.
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual bool on_decoded(std::string_view bytes) = 0;
  };

  explicit ContentDecoder(Coding coding);
  ContentDecoder(const ContentDecoder&) = delete;
  ContentDecoder& operator=(const ContentDecoder&) = delete;
  ~ContentDecoder();
  /// Several gzip members or zstd frames in a row are one body; anything else after the end is bad.
  Outcome write(std::string_view bytes, Sink& sink);
  [[nodiscard]] std::uint64_t decoded() const;
  /// `bad` was said because it grows too much, not because it is damaged.
  [[nodiscard]] bool is_bomb() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bot_bottle::dlp
