// The content of one file through the DLP engine, piece by piece: every finding with its line. Called by the scan of
// files and by git-gate, which reads objects. Hostile input: every octet, and the name.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "sidecar/dlp/scanner.hpp"

namespace bot_bottle::scan {

struct ContentFinding {
  std::uint64_t line = 1;    // from 1
  std::uint64_t column = 1;  // octets, from 1
  std::uint64_t offset = 0;  // octets from the start
  std::string rule;
  std::string encoding;
  std::string snippet;       // redacted; may hold hostile text
  std::string_view in_line;  // the line as it is, as far as it is at hand: not to be shown; valid during the call
};

/// A hit is judged once, when the longest finding lies behind it: then it has grown to its full length, and what an
/// allow list wants to see of its line is there. Memory: a piece of 4 MiB and that window.
class ContentScan {
 public:
  using Found = std::function<void(const ContentFinding&)>;
  /// `name` is what a rule's or an allow list's `path` looks at. Rules and secrets outlive this.
  ContentScan(const dlp::Rules& rules, const dlp::KnownSecrets& secrets, std::string name, Found found);
  void write(std::string_view bytes);
  void finish();

 private:
  struct Sighting;
  enum class End : std::uint8_t { no, yes };
  void judge(End end);
  void advance(std::size_t to);
  bool collect(std::vector<Sighting>& sightings) const;
  [[nodiscard]] std::string_view line_around(std::size_t begin, std::size_t end) const;
  void report(const Sighting& one, End end);
  void look_into_blobs(std::uint64_t judge_to);

  const dlp::Rules& rules_;
  const dlp::KnownSecrets& secrets_;
  std::string name_;
  Found found_;
  std::size_t window_;           // octets kept back until they are judged
  std::string text_;             // what is kept, and the new piece
  std::size_t fresh_ = 0;        // octets since the last judgement
  std::uint64_t base_ = 0;       // position of text_[0]
  std::uint64_t judged_to_ = 0;  // hits that begin before are reported or spared
  std::uint64_t line_ = 1;       // of text_[counted_]
  std::uint64_t line_begin_ = 0;
  std::size_t counted_ = 0;
};

}  // namespace bot_bottle::scan
