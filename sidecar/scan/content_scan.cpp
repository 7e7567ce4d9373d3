#include "sidecar/scan/content_scan.hpp"

#include <algorithm>
#include <cstring>

#include "sidecar/dlp/hits.hpp"

namespace bot_bottle::scan {
namespace {

constexpr std::size_t piece_octets = std::size_t{4} << 20;
constexpr std::size_t context_octets = 256;  // kept before a hit, for its line and its snippet

}  // namespace

struct ContentScan::Sighting {
  std::size_t begin;
  std::size_t end;
  const dlp::Rule* rule;
  std::string_view view;
  std::string name;
};

ContentScan::ContentScan(const dlp::Rules& rules, const dlp::KnownSecrets& secrets, std::string name, Found found)
    : rules_(rules),
      secrets_(secrets),
      name_(std::move(name)),
      found_(std::move(found)),
      window_(std::max(rules.state().longest, dlp::longest_finding(rules, secrets, {})) + context_octets) {}

void ContentScan::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, piece_octets - fresh_);
    text_.append(piece);
    fresh_ += piece.size();
    bytes.remove_prefix(piece.size());
    if (fresh_ == piece_octets) judge(End::no);
  }
}

void ContentScan::finish() {
  judge(End::yes);
}

void ContentScan::advance(std::size_t to) {
  while (counted_ < to) {
    const void* at = std::memchr(text_.data() + counted_, '\n', to - counted_);
    if (at == nullptr) break;
    counted_ = static_cast<std::size_t>(static_cast<const char*>(at) - text_.data()) + 1;
    ++line_;
    line_begin_ = base_ + counted_;
  }
  counted_ = std::max(counted_, to);
}

std::string_view ContentScan::line_around(std::size_t begin, std::size_t end) const {
  const std::string_view view = text_;
  const std::size_t newline = begin == 0 ? std::string_view::npos : view.rfind('\n', begin - 1);
  const std::size_t from = newline == std::string_view::npos ? 0 : newline + 1;
  return view.substr(from, view.find('\n', end) - from);
}

/// True: runs of digits begin with compressed data, which only a stream reads.
bool ContentScan::collect(std::vector<Sighting>& sightings) const {
  const dlp::Engine engine{.rules = &rules_.state(), .secrets = secrets_.state(), .detectors = {}};
  bool blobs = false;
  const std::string_view view = text_;
  for (const dlp::Hit& hit : dlp::find_hits(engine, view, dlp::Extent::all, &blobs)) {
    if (hit.rule != nullptr) {
      const std::string_view secret = view.substr(hit.begin, hit.end - hit.begin);
      if (hit.rule->spares_in_file({secret, secret, line_around(hit.begin, hit.end), name_})) continue;
    }
    std::string name;
    if (hit.rule == nullptr) name = dlp::make_finding(secrets_.state(), hit).rule;
    sightings.push_back({hit.begin, hit.end, hit.rule, hit.view, std::move(name)});
  }
  std::ranges::stable_sort(sightings, {}, &Sighting::begin);
  return blobs;
}

void ContentScan::judge(End end) {
  fresh_ = 0;
  const std::size_t margin = end == End::yes ? 0 : std::min(text_.size(), window_);
  const std::uint64_t judge_to = base_ + text_.size() - margin;
  std::vector<Sighting> sightings;
  const bool blobs = collect(sightings);
  std::size_t covered_to = 0;
  for (const Sighting& one : sightings) {
    const std::uint64_t at = base_ + one.begin;
    if (at < judged_to_ || (end == End::no && at >= judge_to)) continue;
    // The general rules see what a vendor's own rule sees, too.
    const bool general = one.rule != nullptr && one.rule->text.id.starts_with("generic-");
    const bool twice = one.begin < covered_to || (general && std::ranges::any_of(sightings, [&](const Sighting& other) {
                                                    return &other != &one && other.rule != nullptr &&
                                                           other.begin < one.end && other.end > one.begin &&
                                                           !other.rule->text.id.starts_with("generic-");
                                                  }));
    if (twice) continue;
    covered_to = one.end;
    report(one, end);
  }
  if (blobs) look_into_blobs(judge_to);
  judged_to_ = std::max(judged_to_, judge_to);
  // Kept: what is not judged, and what stands before it.
  const std::uint64_t keep = judged_to_ - std::min<std::uint64_t>(judged_to_, context_octets);
  if (keep > base_) {
    const auto drop = static_cast<std::size_t>(keep - base_);
    advance(drop);
    counted_ -= drop;
    text_.erase(0, drop);
    base_ = keep;
  }
}

/// The first secret of the bottle inside compressed data that is written in digits (base64 of gzip and the like).
void ContentScan::look_into_blobs(std::uint64_t judge_to) {
  const auto finding = dlp::scan(rules_, secrets_, {}, text_);
  if (!finding || finding->encoding == "plain") return;
  const std::uint64_t at = base_ + std::min<std::uint64_t>(finding->offset, text_.size());
  if (at < judged_to_ || at > judge_to) return;
  advance(static_cast<std::size_t>(at - base_));
  found_({line_, at - line_begin_ + 1, at, finding->rule, finding->encoding, finding->snippet, {}});
}

void ContentScan::report(const Sighting& one, End end) {
  advance(one.begin);
  ContentFinding finding;
  finding.line = line_;
  finding.offset = base_ + one.begin;
  finding.column = finding.offset - line_begin_ + 1;
  finding.rule = one.rule != nullptr ? one.rule->text.id : one.name;
  finding.encoding = one.view.empty() ? "plain" : std::string(one.view);
  const std::size_t reach = rules_.state().longest + dlp::snippet_margin;
  const std::size_t begin = one.begin - std::min(one.begin, reach);
  const std::size_t stop = std::min(text_.size(), one.end + reach);
  const bool closed = end == End::yes && stop == text_.size();
  finding.snippet =
      dlp::make_snippet(rules_.state(), secrets_.state(), std::string_view(text_).substr(begin, stop - begin),
                        {one.begin - begin, one.end - begin}, closed ? dlp::Edge::closed : dlp::Edge::open);
  finding.in_line = line_around(one.begin, one.end);
  found_(finding);
}

}  // namespace bot_bottle::scan
