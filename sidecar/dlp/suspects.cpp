#include "sidecar/dlp/suspects.hpp"

#include <algorithm>

#include "sidecar/dlp/unescape.hpp"

namespace bot_bottle::dlp {
namespace {
/// Behind a match: the end of a word, and the line feed that "$" may stand before.
constexpr std::size_t octets_behind = 2;
/// Of backslashes in a row at the end: what follows them tells what they are. More are no honest quoting.
constexpr std::size_t max_backslashes = 64;
}  // namespace

void Suspects::add(std::uint64_t begin, std::uint64_t end) {
  // A repeat reports each of its ends.
  if (!spans_.empty() && begin <= spans_.back().end && end >= spans_.back().begin) {
    spans_.back().begin = std::min(spans_.back().begin, begin);
    spans_.back().end = std::max(spans_.back().end, end);
  } else {
    spans_.push_back({begin, end});
  }
}

void Suspects::merge() {
  std::ranges::sort(spans_, {}, &Span::begin);
  std::size_t last = 0;
  for (std::size_t i = 1; i < spans_.size(); ++i) {
    if (spans_[i].begin <= spans_[last].end + octets_behind + max_backslashes)
      spans_[last].end = std::max(spans_[last].end, spans_[i].end);
    else
      spans_[++last] = spans_[i];
  }
  spans_.resize(std::min(spans_.size(), last + 1));
}

std::uint64_t Suspects::judge(const Rules::State& rules, std::string_view text, std::uint64_t base, Edge ends,
                              std::vector<Hit>& hits) {
  std::uint64_t work = 0;
  if (spans_.empty()) return work;
  merge();
  // Up to here it is known what the octets are.
  std::size_t known = text.size();
  if (ends == Edge::open) {
    while (known > 0 && text.size() - known <= max_backslashes && text[known - 1] == '\\') --known;
    if (text.size() - known > max_backslashes) known = text.size();
  }
  const std::size_t judged = ends == Edge::open ? known - std::min(known, octets_behind) : text.size();
  std::vector<Span> waiting;
  for (const Span& span : spans_) {
    const auto begin = static_cast<std::size_t>(span.begin - std::min(span.begin, base));
    const auto end = static_cast<std::size_t>(span.end - base);
    const std::size_t limit = std::min(end, judged);
    if (limit > begin) {
      std::size_t stop = std::min(limit + octets_behind, text.size());
      while (stop < text.size() && text[stop - 1] == '\\' && stop - limit <= max_backslashes) ++stop;
      work += judge(rules, text, begin, limit, stop, hits);
      if (!hits.empty()) break;
    }
    if (end > judged)
      waiting.push_back({span.end - std::min<std::uint64_t>(span.end - span.begin, rules.longest + 2), span.end});
  }
  spans_.swap(waiting);
  return work;
}

/// [begin, stop) of the text; what ends behind `limit` is none of it.
std::uint64_t Suspects::judge(const Rules::State& rules, std::string_view text, std::size_t begin, std::size_t limit,
                              std::size_t stop, std::vector<Hit>& hits) {
  std::vector<Hit> found;
  const std::string_view region = text.substr(begin, stop - begin);
  find_rules(rules, rules.block.get(), region, limit - begin, Extent::first, found);
  std::uint64_t work = region.size();
  const bool plain = !found.empty();
  if (!plain && find_quoting(region, 0) != std::string_view::npos) {
    without_quoting(region, 0, region.size(), region.size(), unquoted_);
    find_rules(rules, rules.block.get(), unquoted_, limit - begin, Extent::first, found);
    work += region.size();
  }
  for (Hit hit : found) {
    hit.begin += begin;
    hit.end += begin;
    if (!plain) hit.view = "json";
    hits.push_back(hit);
  }
  return work;
}

}  // namespace bot_bottle::dlp
