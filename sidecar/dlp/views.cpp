#include "sidecar/dlp/views.hpp"

#include <algorithm>

#include "sidecar/dlp/blobs.hpp"
#include "sidecar/dlp/unescape.hpp"

namespace bot_bottle::dlp {

void Views::scan() {
  const Map same = [](std::size_t at) { return at; };
  scan_escapes(text_, fresh_, same, Depth::text, "");
  if (!done()) scan_quoted();
  if (!done()) scan_runs(text_, fresh_, same, Depth::text);
}

/// Rules over what JSON quotes: "\nhf_…" begins no word as it stands, and key=\"…\" is no assignment.
void Views::scan_quoted() {
  const std::size_t reach = engine_.longest_rule() + 2;
  const Rules::State* rules = engine_.rules;
  if (reach == 2) return;
  const hs_database_t* database = engine_.quoted == Engine::Quoted::all ? rules->block.get() : rules->unrelaxed.get();
  if (database == nullptr) return;
  const std::size_t from = fresh_ - std::min(fresh_, reach);
  for (std::size_t first = find_quoting(text_, from); first != std::string_view::npos && !done();) {
    const std::size_t begin = first - std::min(first, reach);
    without_quoting(text_, begin, reach, 2 * reach, unquoted_);
    const std::string_view text = unquoted_;
    work_ += text.size();
    std::vector<Hit> found;
    find_rules(*rules, database, text, text.size(), Extent::all, found);
    for (Hit& hit : found) {
      const std::size_t before = hit.match_begin - std::min<std::size_t>(hit.match_begin, 1);
      const std::size_t size = hit.match_end + 1 - before;
      const bool cut = ends_ == Edge::open && begin + hit.match_end == text_.size();
      if (cut || text.substr(before, size) == text_.substr(begin + before, size)) continue;
      hits_.push_back({begin + hit.begin, begin + hit.end, hit.rule, nullptr, "json", 0, 0});
      if (done()) break;
    }
    first = find_quoting(text_, begin + text.size());
  }
}

/// How far a match can reach that begins before `at`.
std::size_t Views::window_end(std::string_view text, std::size_t at) const {
  const std::size_t octets = std::max(engine_.longest_rule(), engine_.longest_exact()) + view_slack;
  std::size_t left = engine_.longest_folded();
  std::size_t gap = 0;
  std::size_t end = at + 1;
  for (; end < text.size() && left > 0; ++end) {
    if (is_kept(text[end - 1], text[end])) {
      --left;
      gap = 0;
    } else if (++gap > max_gap_octets) {
      break;
    }
  }
  return std::min(text.size(), std::max(end, at + octets));
}

void Views::scan_escapes(std::string_view text, std::size_t fresh, const Map& map, Depth depth,
                         std::string_view outer) {
  const std::size_t octets = std::max(engine_.longest_rule(), engine_.longest_exact()) + view_slack;
  std::size_t escape = find_escape(text);
  while (escape != std::string_view::npos && !done()) {
    std::size_t begin = std::min(go_back(text, escape, engine_.longest_folded() + 1, Barriers::stop),
                                 escape - std::min(escape, octets));
    begin -= std::min(begin, view_slack);
    std::size_t last = escape;
    std::size_t end = 0;
    while (true) {
      escape = find_escape(text, last + 1);
      if (escape != std::string_view::npos && escape - last <= octets) {
        last = escape;
        continue;
      }
      end = window_end(text, last);
      if (escape == std::string_view::npos || escape >= end + view_slack) break;
      last = escape;
    }
    if (end <= fresh) continue;
    const std::size_t from = begin;
    scan_window(
        text.substr(begin, end - begin), [&map, from](std::size_t at) { return map(from + at); }, depth, outer,
        end == text.size());
  }
}

void Views::scan_window(std::string_view window, const Map& map, Depth depth, std::string_view outer, bool open) {
  const Unescaped view = unescape(window);
  work_ += window.size();
  const std::size_t first = hits_.size();
  if (engine_.detectors.known_secrets) {
    engine_.secrets.find(view.text, [&](std::size_t begin, std::size_t end, const auto& pattern) {
      if (!view.differs(begin, end)) return true;
      hits_.push_back({view.origin[begin], view.origin[end], nullptr, &pattern, {}});
      return extent_ == Extent::all;
    });
  }
  if (engine_.detectors.token_patterns && depth == Depth::text && !done()) {
    std::vector<Hit> found;
    find_rules(*engine_.rules, view.text, Extent::all, found);
    for (const Hit& hit : found) {
      // At the open end of the text a rule may take it for the end of a word: seen again when there is more.
      const bool cut = open && ends_ == Edge::open && hit.match_end == view.text.size();
      if (cut || !view.differs(hit.match_begin, hit.match_end)) continue;
      hits_.push_back({view.origin[hit.begin], view.origin[hit.end], hit.rule, nullptr, {}});
      if (done()) break;
    }
  }
  for (std::size_t i = first; i < hits_.size(); ++i) {
    Hit& hit = hits_[i];
    const std::size_t before = hit.begin > 0 ? hit.begin - 1 : 0;
    hit.view = outer.empty() ? kind_of_escape(window.substr(before, hit.end - before + 1)) : outer;
    hit.begin = map(hit.begin);
    hit.end = map(hit.end);
  }
  if (depth == Depth::text && !done()) {
    const Map deeper = [&](std::size_t at) { return map(view.origin[at]); };
    scan_runs(view.text, 0, deeper, Depth::view, &view);
  }
  if (!open || depth != Depth::text) return;
  const std::size_t size = view.text.size();
  std::size_t hold = go_back(view.text, size, engine_.longest_folded(), Barriers::stop);
  hold = std::min(hold, size - std::min(size, std::max(engine_.longest_rule(), engine_.longest_exact())));
  hold_ = std::min(hold_, map(view.origin[hold - std::min(hold, view_slack)]));
}

/// At the begin of the run, and where a path or a name may end that stands before it.
void Views::look_for_blobs(const Run& run) {
  constexpr std::size_t first_digits = 8;
  constexpr std::size_t prefix_digits = 128;
  for (std::size_t at = 0; at + first_digits <= run.digits.size() && at < prefix_digits; ++at) {
    if (at > 0 && digit_value(run.digits[at - 1], 6) < 62) continue;  // "/", "-", "_" and "+"
    for (const unsigned bits : {6U, 4U}) {
      const int high = digit_value(run.digits[at], bits);
      const int low = digit_value(run.digits[at + 1], bits);
      if (high < 0 || low < 0) continue;
      const unsigned octet = (static_cast<unsigned>(high) << bits | static_cast<unsigned>(low)) >> (2 * bits - 8);
      if (octet != 0x1f && octet != 0x28 && octet != 0x78) continue;  // blob_coding knows no other
      std::string first;
      unsigned value = 0;
      for (unsigned i = 0; i < first_digits; ++i) {
        const int digit = digit_value(run.digits[at + i], bits);
        if (digit < 0) break;
        value = (value << bits) | static_cast<unsigned>(digit);
        if ((i + 1) * bits / 8 > first.size()) first += static_cast<char>(value >> ((i + 1) * bits % 8));
      }
      if (first.size() < 4) continue;
      if (const auto coding = blob_coding(first)) blobs_.push_back({run.origin_of(at), bits, *coding});
    }
  }
}

void Views::scan_runs(std::string_view text, std::size_t fresh, const Map& map, Depth depth, const Unescaped* view) {
  if (!engine_.detectors.known_secrets || engine_.secrets.empty() || engine_.decode != Engine::Decode::all) return;
  const auto look = [&](const Run& run, std::size_t held) {
    if (run.end == text.size()) hold_ = std::min(hold_, map(run.end - std::min(run.end - run.begin, held)));
    // What stands in the text as it is has been looked at there.
    if (run.end > fresh && (view == nullptr || view->differs(run.begin, run.end))) scan_run(run, map, depth);
  };
  // Runs that reach into what is fresh, from as many octets before as it takes to be one.
  for (std::size_t at = fresh - std::min(fresh, min_run_octets - 1); !done();) {
    if ((at = find_run(text, at)) == std::string_view::npos) break;
    Run run = std::move(run_);  // what is found inside of it reads others
    read_run(text, at, run);
    at = std::max(run.end, at + 1);
    look(run, held_run_octets);
    run_ = std::move(run);
  }
  for (std::size_t at = fresh - std::min(fresh, 4 * min_pairs); !done();) {
    if ((at = find_pairs(text, at)) == std::string_view::npos) break;
    const Run run = read_pairs(text, at);
    at = std::max(run.end, at + 16);
    look(run, held_pairs_octets);
  }
}

void Views::scan_run(const Run& run, const Map& map, Depth depth) {
  if (depth == Depth::text) look_for_blobs(run);
  work_ += run.digits.size();
  for (const DecodedRun& decoded : decode_run(run.digits)) {
    work_ += decoded.text.size();
    const Map deeper = [&](std::size_t octet) { return map(run.origin_of(decoded.digit_of(octet))); };
    engine_.secrets.find(decoded.text, [&](std::size_t begin, std::size_t end, const auto& pattern) {
      hits_.push_back({deeper(begin), deeper(end), nullptr, &pattern, decoded.name()});
      return extent_ == Extent::all;
    });
    if (!done() && depth == Depth::text) scan_escapes(decoded.text, 0, deeper, Depth::view, decoded.name());
    if (done()) return;
  }
}

}  // namespace bot_bottle::dlp
