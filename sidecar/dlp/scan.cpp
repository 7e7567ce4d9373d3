// Values that are there at once: the text as it came, then its decoded views.
#include <algorithm>

#include "sidecar/dlp/blobs.hpp"
#include "sidecar/dlp/hits.hpp"
#include "sidecar/dlp/views.hpp"

namespace bot_bottle::dlp {
namespace {

constexpr std::size_t max_block_octets = std::size_t{16} << 20;  // Hyperscan counts in 32 bits; larger texts stream

struct BlockScan {
  const Rules::State& rules;
  std::string_view text;
  std::size_t limit;
  Extent extent;
  std::vector<Hit>& hits;

  static int on_match(unsigned id, unsigned long long, unsigned long long to, unsigned, void* context) {
    auto& self = *static_cast<BlockScan*>(context);
    const Rule& rule = self.rules.rules[id];
    const auto end = static_cast<std::size_t>(to);
    if (end > self.limit) return 0;
    const std::size_t begin = end - std::min(end, rule.width + 1);
    Located located;
    if (!rule.confirm(self.text.substr(begin, end - begin), located)) return 0;
    const Hit hit{begin + located.begin, begin + located.end, &rule, nullptr, {}, begin + located.match_begin, end};
    // A bounded repeat reports each of its ends: they are one hit that grows.
    if (!self.hits.empty() && self.hits.back().rule == &rule && self.hits.back().begin == hit.begin)
      self.hits.back() = hit;
    else
      self.hits.push_back(hit);
    return self.extent == Extent::first ? 1 : 0;
  }
};

}  // namespace

void find_rules(const Rules::State& rules, const hs_database_t* database, std::string_view text, std::size_t limit,
                Extent extent, std::vector<Hit>& hits) {
  if (text.empty()) return;
  BlockScan scan{rules, text, limit, extent, hits};
  const Scratch scratch(rules);
  const hs_error_t code = scratch.get() == nullptr ? HS_NOMEM
                                                   : hs_scan(database, text.data(), static_cast<unsigned>(text.size()),
                                                             0, scratch.get(), &BlockScan::on_match, &scan);
  if (code != HS_SUCCESS && code != HS_SCAN_TERMINATED) hits.push_back({0, text.size(), nullptr, nullptr, {}});
}

std::vector<Hit> find_hits(const Engine& engine, std::string_view text, Extent extent, bool* blobs) {
  std::vector<Hit> hits;
  if (engine.detectors.known_secrets) {
    engine.secrets.find(text, [&](std::size_t begin, std::size_t end, const auto& pattern) {
      hits.push_back({begin, end, nullptr, &pattern, {}});
      return extent == Extent::all;
    });
    if (extent == Extent::first && !hits.empty()) return hits;
  }
  if (engine.longest_rule() > 0) find_rules(*engine.rules, text, extent, hits);
  if (extent == Extent::first && !hits.empty()) return hits;
  Views views(engine, text, 0, Edge::closed, extent, hits);
  views.scan();
  if (blobs != nullptr) *blobs = !views.blobs().empty();
  return hits;
}

Finding make_finding(const KnownSecrets::State& secrets, const Hit& hit) {
  Finding finding;
  std::vector<std::string_view> layers;  // from the outside in
  if (!hit.view.empty()) layers.push_back(hit.view);
  if (hit.rule != nullptr) {
    finding.rule = hit.rule->text.id;
  } else if (hit.pattern != nullptr) {
    finding.rule = secrets.names[hit.pattern->secret];
    for (const Encoding encoding : {hit.pattern->outer, hit.pattern->inner})
      if (encoding != Encoding::plain) layers.push_back(name_of(encoding));
  } else {
    finding.rule = "scanner-failure";  // closed: what could not be scanned is not sent
  }
  for (const std::string_view layer : layers) {
    if (!finding.encoding.empty()) finding.encoding += '+';
    finding.encoding += layer;
  }
  if (layers.empty()) finding.encoding = "plain";
  return finding;
}

std::string canary_in(const KnownSecrets::State& secrets, std::string_view region) {
  if (!secrets.any_canary) return {};
  const Engine engine{nullptr, secrets, {.token_patterns = false, .known_secrets = true}};
  for (const Hit& hit : find_hits(engine, region, Extent::all))
    if (hit.pattern != nullptr && secrets.names[hit.pattern->secret].starts_with("canary:"))
      return secrets.names[hit.pattern->secret];
  return {};
}

namespace {

/// Compressed data in runs of digits, and what is too long for one look.
std::optional<Finding> scan_stream(const Rules& rules, const KnownSecrets& secrets, Detectors detectors,
                                   std::string_view bytes) {
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

}  // namespace

std::optional<Finding> scan(const Rules& rules, const KnownSecrets& secrets, Detectors detectors,
                            std::string_view bytes) {
  const KnownSecrets::State& known = secrets.state();
  if (bytes.size() > max_block_octets) return scan_stream(rules, secrets, detectors, bytes);
  const Engine engine{&rules.state(), known, detectors};
  bool blobs = false;
  const auto hits = find_hits(engine, bytes, Extent::first, &blobs);
  if (!hits.empty()) {
    Finding finding = make_finding(known, hits[0]);
    finding.offset = hits[0].begin;
    if (std::string canary = canary_in(known, bytes); !canary.empty()) finding.rule = std::move(canary);
    finding.snippet = make_snippet(rules.state(), known, bytes, {hits[0].begin, hits[0].end, 0}, Edge::closed);
    return finding;
  }
  if (detectors.known_secrets && (blobs || find_blob(bytes, 0) != std::string_view::npos))
    return scan_stream(rules, secrets, detectors, bytes);
  return detectors.fragments != nullptr && detectors.known_secrets ? detectors.fragments->note(bytes) : std::nullopt;
}

}  // namespace bot_bottle::dlp
