// Secrets out of what people and agents may read: logs, error bodies, snippets of findings.
#include <algorithm>

#include "sidecar/dlp/hits.hpp"

namespace bot_bottle::dlp {
namespace {

constexpr std::size_t max_redacted_octets = std::size_t{1} << 20;

bool is_token_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
         c == '+' || c == '/' || c == '=' || c == '.';
}

std::size_t extended_end(const Hit& hit, std::string_view text) {
  if (hit.rule == nullptr) return hit.end;
  if (!hit.rule->text.through.empty()) {
    const std::size_t found = text.find(hit.rule->text.through, hit.end);
    return found == std::string_view::npos ? text.size() : std::min(text.size(), text.find('\n', found));
  }
  std::size_t end = hit.end;
  while (end < text.size() && is_token_character(text[end])) ++end;
  return end;
}

}  // namespace

std::vector<Located> find_secret_ranges(const Rules::State& rules, const KnownSecrets::State& secrets,
                                        std::string_view text) {
  std::vector<Located> ranges;
  for (const Hit& hit : find_hits({&rules, secrets, {}}, text, Extent::all))
    ranges.push_back({hit.begin, extended_end(hit, text), 0});
  std::ranges::sort(ranges, {}, &Located::begin);
  std::vector<Located> merged;
  for (const Located& range : ranges) {
    if (!merged.empty() && range.begin <= merged.back().end)
      merged.back().end = std::max(merged.back().end, range.end);
    else
      merged.push_back(range);
  }
  return merged;
}

std::string make_snippet(const Rules::State& rules, const KnownSecrets::State& secrets, std::string_view region,
                         Located hit, Edge right) {
  std::vector<Located> ranges = find_secret_ranges(rules, secrets, region);
  ranges.push_back(hit);
  std::size_t begin = hit.begin - std::min(hit.begin, snippet_margin);
  std::size_t end = std::min(region.size(), hit.end + snippet_margin);
  if (right == Edge::open) {
    // The last word here may be the first half of a secret that nothing has recognised yet.
    const std::size_t space = region.find_last_of(" \t\r\n");
    const std::size_t whole = space == std::string_view::npos ? hit.end : std::max(hit.end, space);
    end = std::min(end, whole);
  }
  std::ranges::sort(ranges, {}, &Located::begin);
  std::string out;
  std::size_t at = begin;
  bool masked = false;
  for (const Located& range : ranges) {
    if (range.end <= at) continue;
    if (range.begin >= end) break;
    if (range.begin > at) {
      out += region.substr(at, range.begin - at);
      masked = false;
    }
    if (!masked) out += mask;
    masked = true;
    at = std::max(at, range.end);
  }
  if (at < end) out += region.substr(at, end - at);
  return out;
}

std::string redact(const Rules& rules, const KnownSecrets& secrets, std::string_view text) {
  if (text.size() > max_redacted_octets)
    return std::string(mask);  // nobody reads it; nothing of it may slip through unscanned
  std::string out;
  std::size_t at = 0;
  for (const Located& range : find_secret_ranges(rules.state(), secrets.state(), text)) {
    out += text.substr(at, range.begin - at);
    out += mask;
    at = range.end;
  }
  out += text.substr(at);
  return out;
}

}  // namespace bot_bottle::dlp
