// Values that are there at once: one pass over the text and, when it has escapes, one over the decoded text.
#include <algorithm>

#include "sidecar/dlp/hits.hpp"
#include "sidecar/dlp/percent.hpp"

namespace bot_bottle::dlp {
namespace {

constexpr std::size_t max_block_octets = std::size_t{16} << 20;  // Hyperscan counts in 32 bits; larger texts stream

struct BlockScan {
  const Rules::State& rules;
  std::string_view text;
  Extent extent;
  std::vector<Hit>& hits;

  static int on_match(unsigned id, unsigned long long, unsigned long long to, unsigned, void* context) {
    auto& self = *static_cast<BlockScan*>(context);
    const Rule& rule = self.rules.rules[id];
    const auto end = static_cast<std::size_t>(to);
    const std::size_t begin = end - std::min(end, rule.width + 1);
    Located located;
    if (!rule.confirm(self.text.substr(begin, end - begin), located)) return 0;
    const Hit hit{begin + located.begin, begin + located.end, &rule, nullptr};
    // A bounded repeat reports each of its ends: they are one hit that grows.
    if (!self.hits.empty() && self.hits.back().rule == &rule && self.hits.back().begin == hit.begin)
      self.hits.back() = hit;
    else
      self.hits.push_back(hit);
    return self.extent == Extent::first ? 1 : 0;
  }
};

}  // namespace

std::vector<Hit> find_hits(const Rules::State& rules, const KnownSecrets::State& secrets, Detectors detectors,
                           std::string_view text, Extent extent) {
  std::vector<Hit> hits;
  if (detectors.known_secrets) {
    secrets.find(text, [&](std::size_t begin, const KnownSecrets::State::Pattern& pattern) {
      hits.push_back({begin, begin + pattern.size, nullptr, &pattern});
      return extent == Extent::all;
    });
    if (extent == Extent::first && !hits.empty()) return hits;
  }
  if (detectors.token_patterns && !text.empty()) {
    BlockScan scan{rules, text, extent, hits};
    const Scratch scratch(rules);
    const hs_error_t code = scratch.get() == nullptr
                                ? HS_NOMEM
                                : hs_scan(rules.block.get(), text.data(), static_cast<unsigned>(text.size()), 0,
                                          scratch.get(), &BlockScan::on_match, &scan);
    if (code != HS_SUCCESS && code != HS_SCAN_TERMINATED) hits.push_back({0, text.size(), nullptr, nullptr});
  }
  return hits;
}

Finding make_finding(const KnownSecrets::State& secrets, const Hit& hit, std::string_view view) {
  Finding finding;
  if (hit.rule != nullptr) {
    finding.rule = hit.rule->text.id;
    finding.encoding = view.empty() ? "plain" : std::string(view);
  } else if (hit.pattern != nullptr) {
    finding.rule = "known-secret:" + secrets.names[hit.pattern->secret];
    finding.encoding = name_of(hit.pattern->encoding);
    if (!view.empty())
      finding.encoding =
          hit.pattern->encoding == Encoding::plain ? std::string(view) : std::string(view) + "+" + finding.encoding;
  } else {
    finding.rule = "scanner-failure";  // closed: what could not be scanned is not sent
    finding.encoding = "plain";
  }
  return finding;
}

std::optional<Finding> scan(const Rules& rules, const KnownSecrets& secrets, Detectors detectors,
                            std::string_view bytes) {
  const KnownSecrets::State& known = secrets.state();
  if (bytes.size() > max_block_octets) {
    // The pointers own nothing: the stream ends with this call.
    Stream stream(std::shared_ptr<const Rules>(std::shared_ptr<void>(), &rules),
                  std::shared_ptr<const KnownSecrets>(std::shared_ptr<void>(), &secrets), detectors);
    std::string released;
    for (std::size_t at = 0; at < bytes.size(); at += max_block_octets) {
      released.clear();
      if (auto finding = stream.write(bytes.substr(at, max_block_octets), released)) return finding;
    }
    return stream.finish(released);
  }
  const auto report = [&](std::string_view text, const Hit& hit, std::string_view view) {
    Finding finding = make_finding(known, hit, view);
    finding.offset = hit.begin;
    finding.snippet = make_snippet(rules.state(), known, text, {hit.begin, hit.end}, Edge::closed);
    return finding;
  };
  if (const auto hits = find_hits(rules.state(), known, detectors, bytes, Extent::first); !hits.empty())
    return report(bytes, hits[0], "");
  if (find_escape(bytes) == std::string_view::npos) return std::nullopt;
  const DecodedText decoded = decode_percent(bytes);
  const auto hits = find_hits(rules.state(), known, detectors, decoded.text, Extent::first);
  if (hits.empty()) return std::nullopt;
  Finding finding = report(decoded.text, hits[0], "percent");
  finding.offset = decoded.origin[hits[0].begin];
  return finding;
}

}  // namespace bot_bottle::dlp
