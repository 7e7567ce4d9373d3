// Where the relaxed rules saw something (relaxed_regex.hpp): these places are judged by the rules themselves, in the
// text as it stands and as JSON quotes it. A text that holds no such place is looked at once. Internal to sidecar/dlp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/dlp/hits.hpp"

namespace bot_bottle::dlp {

class Suspects {
 public:
  /// Something that `rule` may match ends at `end` of the body.
  void add(const Rule& rule, std::uint64_t end) { add(end - std::min<std::uint64_t>(end, rule.width + 2), end); }

  /// Judges what there is; where the text is open, what needs the octets behind it waits for them. `text` is the body
  /// from `base` on. It holds the longest match and 96 octets that were not judged before (stream.cpp, raw_hold).
  /// Hits get positions in `text`. Octets that were looked at.
  std::uint64_t judge(const Rules::State& rules, std::string_view text, std::uint64_t base, Edge ends,
                      std::vector<Hit>& hits);

 private:
  struct Span {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };
  void add(std::uint64_t begin, std::uint64_t end);
  void merge();
  std::uint64_t judge(const Rules::State& rules, std::string_view text, std::size_t begin, std::size_t limit,
                      std::size_t stop, std::vector<Hit>& hits);

  std::vector<Span> spans_;  // at most one for each octet of a block; those that overlap become one
  std::string unquoted_;
};

}  // namespace bot_bottle::dlp
