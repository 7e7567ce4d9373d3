// The decoded views of a text: around escapes, and of runs of digits. Each is looked at where there is something to
// decode and no further than a match can reach, so the work is linear in the text. Internal to sidecar/dlp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "sidecar/dlp/content_decoder.hpp"
#include "sidecar/dlp/hits.hpp"
#include "sidecar/dlp/runs.hpp"
#include "sidecar/dlp/unescape.hpp"

namespace bot_bottle::dlp {

/// Octets of an unfinished run of digits that are held back: what a piece of a secret takes, escaped and encoded.
inline constexpr std::size_t held_run_octets = 1024;
inline constexpr std::size_t held_pairs_octets = 2048;
/// In every view so much more than the longest match is kept: signs at the ends of a secret, half an escape, context.
inline constexpr std::size_t view_slack = 96;

class Views {
 public:
  /// What ends before `fresh` has been judged already. `hits` get positions in `text`.
  Views(const Engine& engine, std::string_view text, std::size_t fresh, Edge ends, Extent extent,
        std::vector<Hit>& hits)
      : engine_(engine), text_(text), fresh_(fresh), ends_(ends), extent_(extent), hits_(hits), hold_(text.size()) {}

  /// Finds nothing in the text as it came: the caller has looked there.
  void scan();

  /// Where a match may begin in a decoded view that the text does not end yet.
  [[nodiscard]] std::size_t hold() const { return hold_; }
  /// Compressed data that runs of digits begin with.
  struct BlobStart {
    std::size_t begin = 0;
    unsigned bits = 6;
    Coding coding = Coding::gzip;
  };
  [[nodiscard]] const std::vector<BlobStart>& blobs() const { return blobs_; }
  /// Octets of all views that were looked at.
  [[nodiscard]] std::uint64_t work() const { return work_; }

 private:
  using Map = std::function<std::size_t(std::size_t)>;  // a position in a view → in the text
  enum class Depth : std::uint8_t { text, view };
  [[nodiscard]] bool done() const { return extent_ == Extent::first && !hits_.empty(); }
  void scan_escapes(std::string_view text, std::size_t fresh, const Map& map, Depth depth, std::string_view outer);
  void scan_quoted();
  void scan_window(std::string_view window, const Map& map, Depth depth, std::string_view outer, bool open);
  void scan_runs(std::string_view text, std::size_t fresh, const Map& map, Depth depth,
                 const Unescaped* view = nullptr);
  void scan_run(const Run& run, const Map& map, Depth depth);
  void look_for_blobs(const Run& run);
  [[nodiscard]] std::size_t window_end(std::string_view text, std::size_t at) const;

  const Engine& engine_;
  std::string_view text_;
  std::size_t fresh_;
  Edge ends_;
  Extent extent_;
  std::vector<Hit>& hits_;
  std::size_t hold_;
  std::uint64_t work_ = 0;
  std::vector<BlobStart> blobs_;
  Run run_;  // that is read; its memory is used again
  std::string unquoted_;
};

}  // namespace bot_bottle::dlp
