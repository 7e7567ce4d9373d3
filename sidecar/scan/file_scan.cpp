#include "sidecar/scan/file_scan.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/unique_fd.hpp"
#include "sidecar/dlp/hits.hpp"

namespace bot_bottle::scan {
namespace {

constexpr std::size_t piece_octets = std::size_t{4} << 20;
constexpr std::size_t context_octets = 256;  // kept before a hit, for its line and its snippet
constexpr int max_depth = 200;
constexpr std::size_t max_errors = 1000;

}  // namespace

/// One file, piece by piece. A hit is judged once, when a rule's longest match lies behind it: then it has grown to its
/// full length, and what an allow list wants to see of its line is there.
struct FileScan::Reader {
  const dlp::Rules::State& rules;
  const dlp::KnownSecrets::State& none;
  const std::filesystem::path& path;
  const std::string name;
  std::function<void(const FileFinding&)>& found;
  std::uint64_t findings = 0;

  std::string text;             // what is kept, and the new piece
  std::uint64_t base = 0;       // position of text[0]
  std::uint64_t judged_to = 0;  // hits that begin before are reported or spared
  std::uint64_t line = 1;       // of text[counted]
  std::uint64_t line_begin = 0;
  std::size_t counted = 0;

  void advance(std::size_t to) {
    while (counted < to) {
      const void* at = std::memchr(text.data() + counted, '\n', to - counted);
      if (at == nullptr) break;
      counted = static_cast<std::size_t>(static_cast<const char*>(at) - text.data()) + 1;
      ++line;
      line_begin = base + counted;
    }
    counted = std::max(counted, to);
  }

  [[nodiscard]] bool is_spared(const dlp::Hit& hit, std::string_view view) const {
    if (hit.rule == nullptr) return false;
    const std::string_view secret = view.substr(hit.begin, hit.end - hit.begin);
    const std::size_t newline = hit.begin == 0 ? std::string_view::npos : view.rfind('\n', hit.begin - 1);
    const std::size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
    const std::string_view whole = view.substr(begin, view.find('\n', hit.end) - begin);
    return hit.rule->spares_in_file({secret, secret, whole, name});
  }

  struct Sighting {
    std::size_t begin;
    std::size_t end;
    const dlp::Rule* rule;
    std::string_view view;
  };

  void collect(std::vector<Sighting>& sightings) const {
    const dlp::Engine engine{.rules = &rules, .secrets = none, .detectors = {}};
    for (const dlp::Hit& hit : dlp::find_hits(engine, text, dlp::Extent::all))
      if (!is_spared(hit, text)) sightings.push_back({hit.begin, hit.end, hit.rule, hit.view});
    std::ranges::stable_sort(sightings, {}, &Sighting::begin);
  }

  enum class End : std::uint8_t { no, yes };
  void judge(End end) {
    const std::size_t margin = end == End::yes ? 0 : std::min(text.size(), rules.longest + context_octets);
    const std::uint64_t judge_to = base + text.size() - margin;
    std::vector<Sighting> sightings;
    collect(sightings);
    std::size_t covered_to = 0;
    for (const Sighting& one : sightings) {
      const std::uint64_t at = base + one.begin;
      if (at < judged_to || (end == End::no && at >= judge_to)) continue;
      // The general rules see what a vendor's own rule sees, too.
      const bool general = one.rule != nullptr && one.rule->text.id.starts_with("generic-");
      const bool twice =
          one.begin < covered_to || (general && std::ranges::any_of(sightings, [&](const Sighting& other) {
                                       return &other != &one && other.rule != nullptr && other.begin < one.end &&
                                              other.end > one.begin && !other.rule->text.id.starts_with("generic-");
                                     }));
      if (twice) continue;
      covered_to = one.end;
      report(one, end);
    }
    judged_to = std::max(judged_to, judge_to);
    // Kept: what is not judged, and what stands before it.
    const std::uint64_t keep = judged_to - std::min<std::uint64_t>(judged_to, context_octets);
    if (keep > base) {
      const auto drop = static_cast<std::size_t>(keep - base);
      advance(drop);
      counted -= drop;
      text.erase(0, drop);
      base = keep;
    }
  }

  void report(const Sighting& one, End end) {
    advance(one.begin);
    FileFinding finding;
    finding.path = path;
    finding.line = line;
    finding.offset = base + one.begin;
    finding.column = finding.offset - line_begin + 1;
    finding.rule = one.rule != nullptr ? one.rule->text.id : "scanner-failure";
    finding.encoding = one.view.empty() ? "plain" : std::string(one.view);
    const std::size_t reach = rules.longest + dlp::snippet_margin;
    const std::size_t begin = one.begin - std::min(one.begin, reach);
    const std::size_t stop = std::min(text.size(), one.end + reach);
    const bool closed = end == End::yes && stop == text.size();
    finding.snippet =
        dlp::make_snippet(rules, none, std::string_view(text).substr(begin, stop - begin),
                          {one.begin - begin, one.end - begin}, closed ? dlp::Edge::closed : dlp::Edge::open);
    ++findings;
    found(finding);
  }
};

FileScan::FileScan(std::shared_ptr<const dlp::Rules> rules, std::function<void(const FileFinding&)> found)
    : rules_(std::move(rules)), found_(std::move(found)) {
  if (auto none = dlp::KnownSecrets::create({})) no_secrets_ = std::move(*none);
}

void FileScan::error(const std::filesystem::path& path, std::string_view what) {
  if (totals_.errors.size() < max_errors) totals_.errors.push_back(fmt::format("{}: {}", path.string(), what));
}

void FileScan::path(const std::filesystem::path& path) {
  entry(path, 0);
}

void FileScan::entry(const std::filesystem::path& path, int depth) {  // NOLINT(misc-no-recursion): bounded by max_depth
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    error(path, std::strerror(errno));
  } else if (S_ISDIR(status.st_mode)) {
    if (depth >= max_depth)
      error(path, "too deep");
    else
      directory(path, depth);
  } else if (S_ISREG(status.st_mode)) {
    file(path);
  } else {
    ++totals_.skipped;
  }
}

void FileScan::directory(const std::filesystem::path& path, int depth) {  // NOLINT(misc-no-recursion)
  std::error_code code;
  std::vector<std::filesystem::path> entries;
  for (std::filesystem::directory_iterator at(path, code), end; !code && at != end; at.increment(code))
    entries.push_back(at->path());
  if (code) error(path, code.message());
  std::ranges::sort(entries);
  for (const auto& one : entries) entry(one, depth + 1);
}

void FileScan::file(const std::filesystem::path& path) {
  // Not blocking: between lstat and here it may have become a pipe.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) {
    error(path, std::strerror(errno));
    return;
  }
  if (!S_ISREG(status.st_mode)) {
    ++totals_.skipped;
    return;
  }
  ++totals_.files;
  Reader reader{rules_->state(), no_secrets_->state(), path, path.string(), found_};
  while (true) {
    const std::size_t kept = reader.text.size();
    reader.text.resize(kept + piece_octets);
    ssize_t count = 0;
    do {
      count = ::read(fd.get(), reader.text.data() + kept, piece_octets);
    } while (count < 0 && errno == EINTR);
    const int fault = errno;
    reader.text.resize(kept + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (count <= 0) {
      reader.judge(Reader::End::yes);
      if (count < 0) error(path, std::strerror(fault));
      break;
    }
    totals_.bytes += static_cast<std::uint64_t>(count);
    reader.judge(Reader::End::no);
  }
  totals_.findings += reader.findings;
}

}  // namespace bot_bottle::scan
