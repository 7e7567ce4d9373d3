// A body as it streams. Invariant: an octet is released only when no match that is still possible, in any view, can
// begin at or before it. Guarded by dlp_stream_test: no_octet_of_a_secret_is_released_however_the_body_is_cut.
#include <algorithm>

#include "sidecar/dlp/blobs.hpp"
#include "sidecar/dlp/fragments.hpp"
#include "sidecar/dlp/hits.hpp"
#include "sidecar/dlp/structure.hpp"
#include "sidecar/dlp/suspects.hpp"
#include "sidecar/dlp/unescape.hpp"
#include "sidecar/dlp/views.hpp"

namespace bot_bottle::dlp {
namespace {

constexpr std::size_t block_octets = std::size_t{64} << 10;
constexpr std::size_t max_hold_octets = std::size_t{256} << 10;
/// Octets after the first of the buffer where an escape may have been cut off; what is found there was judged before.
constexpr std::size_t torn_octets = 32;
/// What is held is looked at again with each write. Octets pay for that; who sends one at a time soon waits a little.
constexpr std::uint64_t first_credit = std::uint64_t{256} << 10;
constexpr std::uint64_t credit_per_octet = 2;
constexpr unsigned max_depth = 2;
/// At once, all of them still making sense. Junk that begins like one ends when it is read.
constexpr std::size_t max_live_blobs = 16;
/// Of a body, in which pieces of secrets as short as a gram are noticed; beyond, those that are long enough to add up.
constexpr std::uint64_t closely_noted_octets = std::uint64_t{64} << 10;

}  // namespace

struct Stream::State {
  std::shared_ptr<const Rules> rules;
  std::shared_ptr<const KnownSecrets> secrets;
  Engine engine;

  // [base, base + buffer.size()) of the body is kept; what stands before `seen` in it has been scanned.
  std::string buffer;
  std::uint64_t base = 0;
  std::size_t seen = 0;
  std::size_t released = 0;  // of the buffer
  /// Where a match may begin, in the text as it came or in a view of it, that what is here does not end yet.
  std::size_t open_from = 0;
  std::uint64_t credit = first_credit;
  std::uint64_t work = 0;

  hs_stream_t* raw = nullptr;
  Suspects suspects;
  std::string skeleton;  // of the end of the body
  SkeletonState skeleton_state;

  Structure structure;
  unsigned depth;
  std::vector<std::unique_ptr<Blob>> blobs;
  std::uint64_t blobs_from = 0;  // those that begin before are known
  std::size_t noted = 0;         // of the skeleton

  std::optional<Finding> found;
  std::vector<Hit> hits;

  State(std::shared_ptr<const Rules> r, std::shared_ptr<const KnownSecrets> s, Detectors d, unsigned the_depth)
      : rules(std::move(r)),
        secrets(std::move(s)),
        engine{&rules->state(), secrets->state(), d, Engine::Decode::all, Engine::Quoted::unrelaxed},
        depth(the_depth) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { rules->state().give_back(raw); }

  [[nodiscard]] bool idle() const { return engine.longest_rule() == 0 && !knows(); }
  [[nodiscard]] bool knows() const { return engine.detectors.known_secrets && !engine.secrets.empty(); }

  static int on_match(unsigned id, unsigned long long, unsigned long long to, unsigned, void* context) {
    auto& self = *static_cast<State*>(context);
    const Rule& rule = self.rules->state().rules[id];
    const auto end = static_cast<std::size_t>(to - self.base);
    const std::size_t begin = end - std::min(end, rule.width + 1);
    if (rule.may_match(std::string_view(self.buffer).substr(begin, end - begin))) self.suspects.add(rule, to);
    return 0;
  }
  void settle(hs_error_t code) {
    // What could not be scanned is not sent.
    if (code != HS_SUCCESS && code != HS_SCAN_TERMINATED) hits.push_back({released, released, nullptr, nullptr, {}});
  }
  void scan_rules(std::string_view block) {
    if (engine.longest_rule() == 0 || block.empty()) return;
    if (raw == nullptr) raw = rules->state().take_stream();
    const Scratch scratch(rules->state());
    settle(raw == nullptr || scratch.get() == nullptr
               ? HS_NOMEM
               : hs_scan_stream(raw, block.data(), static_cast<unsigned>(block.size()), 0, scratch.get(),
                                &State::on_match, this));
  }
  /// Matches that end with the text are only told now.
  void end_rules() {
    if (raw == nullptr) return;
    const Scratch scratch(rules->state());
    settle(scratch.get() == nullptr ? HS_NOMEM : hs_reset_stream(raw, 0, scratch.get(), &State::on_match, this));
  }

  void scan_known(std::string_view block) {
    if (!knows()) return;
    const KnownSecrets::State& known = secrets->state();
    if (!known.folded_index.empty()) {
      noted = skeleton.size() - std::min(skeleton.size(), gram6_octets - 1);
      append_skeleton(skeleton, block, skeleton_state);
      known.folded_index.find(skeleton, [&](std::size_t at, std::uint32_t number) {
        const KnownSecrets::State::Pattern& pattern = known.folded[number];
        std::size_t begin = go_back(buffer, buffer.size(), skeleton.size() - at, Barriers::count);
        const std::size_t after = skeleton.size() - at - pattern.key_size;
        std::size_t end = go_back(buffer, buffer.size(), after + 1, Barriers::count) + 1;
        if (!known.widen(pattern, buffer, begin, end)) return true;
        hits.push_back({begin, end, nullptr, &pattern, {}});
        return false;
      });
    }
    if (!known.exact_index.empty()) {
      const std::size_t begin = seen - std::min(seen, known.exact_index.longest() - 1);
      known.exact_index.find(std::string_view(buffer).substr(begin), [&](std::size_t at, std::uint32_t number) {
        const KnownSecrets::State::Pattern& pattern = known.exact[number];
        hits.push_back({begin + at, begin + at + pattern.size, nullptr, &pattern, {}});
        return false;
      });
    }
  }

  enum class End : std::uint8_t { no, yes };

  std::optional<Finding> process(std::string_view bytes, std::string& out, End end) {
    buffer += bytes;
    credit += credit_per_octet * bytes.size();
    const std::size_t fresh = buffer.size() - seen;
    if (idle()) {
      release(buffer.size(), out);
      return std::nullopt;
    }
    const std::size_t again = seen + structure.values.text().size() + structure.names.text().size();
    if (end == End::no && fresh < again && credit < again) return std::nullopt;
    credit -= std::min<std::uint64_t>(credit, again);
    const std::string_view block = std::string_view(buffer).substr(seen);
    work += block.size();
    hits.clear();
    scan_known(block);
    if (hits.empty()) scan_rules(block);
    if (hits.empty() && end == End::yes) end_rules();
    if (hits.empty())
      work += suspects.judge(rules->state(), buffer, base, end == End::yes ? Edge::closed : Edge::open, hits);
    std::size_t hold = buffer.size();
    if (hits.empty()) {
      // At the end nothing is new but the end itself: what may go on from what was judged is judged again. (All that is
      // held, for the sake of names scattered over many fields, was nearly the whole of a body once more.)
      const std::size_t judged = end == End::yes ? open_from - std::min(open_from, view_slack) : seen;
      Views views(engine, buffer, judged, end == End::yes ? Edge::closed : Edge::open, Extent::all, hits);
      views.scan();
      work += views.work();
      if (base > 0) std::erase_if(hits, [](const Hit& hit) { return hit.begin < torn_octets; });
      open_from = std::min(views.hold(), raw_hold());
      hold = std::min(open_from, scan_structure(end));  // its hits may begin in what was released long ago
      if (hits.empty()) {
        found = scan_blobs(views, end, hold);
        if (found) return found;
      }
    }
    if (hits.empty() && (found = note_fragments())) return found;
    const std::size_t keep = engine.longest_folded();
    if (skeleton.size() > keep) skeleton.erase(0, skeleton.size() - keep);
    seen = buffer.size();
    if (!hits.empty()) {
      found = report(*std::ranges::min_element(hits, {}, &Hit::begin), end);
      buffer.clear();
      return found;
    }
    release(end == End::yes ? buffer.size() : hold, out);
    return std::nullopt;
  }

  std::optional<Finding> note_fragments() {
    if (!knows() || engine.detectors.fragments == nullptr) return std::nullopt;
    using Grams = Fragments::State::Grams;
    const Grams grams = base + seen < closely_noted_octets ? Grams::all : Grams::sampled;
    const auto much = engine.detectors.fragments->state().note(std::string_view(skeleton).substr(noted), grams);
    if (!much) return std::nullopt;
    Finding finding = make_fragments_finding(secrets->state(), *much);
    finding.offset = base + seen;
    return finding;
  }

  /// The fields of a message, joined. Where a match may begin in them that has not ended yet.
  std::size_t scan_structure(End end) {
    if (!knows() || depth > 0) return buffer.size();
    structure.read(buffer, base, seen);
    if (end == End::yes) structure.finish(buffer, base);
    return std::min(scan_joined(structure.values), scan_joined(structure.names));
  }
  std::size_t scan_joined(Joined& joined) {
    const auto here = [&](std::uint64_t position) {
      return static_cast<std::size_t>(position - std::min(position, base));
    };
    const auto add = [&](std::size_t begin, std::size_t last, const KnownSecrets::State::Pattern& pattern) {
      hits.push_back({here(joined.origin_of(begin)), here(joined.origin_of(last)) + 1, nullptr, &pattern, "joined"});
      return false;
    };
    const std::string_view text = joined.text();
    if (text.size() > joined.seen) {
      work += text.size();
      secrets->state().find(text, [&](std::size_t begin, std::size_t stop, const auto& pattern) {
        return add(begin, stop - 1, pattern);
      });
      if (find_escape(text) != std::string_view::npos) {
        const Unescaped view = unescape(text);
        secrets->state().find(view.text, [&](std::size_t begin, std::size_t stop, const auto& pattern) {
          return add(view.origin[begin], view.origin[stop] - 1, pattern);
        });
      }
    }
    const std::size_t keep = go_back(text, text.size(), engine.longest_folded(), Barriers::stop);
    joined.drop(keep - std::min(keep, view_slack));
    joined.seen = joined.text().size();
    return joined.seen == 0 ? buffer.size() : here(joined.origin_of(0));
  }

  std::optional<Finding> open_blob(std::size_t begin, unsigned bits, Coding coding) {
    if (base + begin < blobs_from) return std::nullopt;
    // Egress reads a compressed body itself.
    if (depth == 0 && bits == 0 && base + begin == 0 && coding != Coding::deflate) return std::nullopt;
    blobs_from = base + begin + 1;
    if (blobs.size() >= max_live_blobs)  // nothing honest opens so many and ends none; the next could hold anything
      return Finding{.rule = "compressed-data", .encoding = "too many at once", .offset = base + begin, .snippet = {}};
    blobs.push_back(
        std::make_unique<Blob>(coding, base + begin, bits, Stream(rules, secrets, engine.detectors, depth + 1)));
    auto finding = read_blob(*blobs.back(), End::no);
    if (!finding && blobs.back()->over()) blobs.pop_back();
    return finding;
  }
  std::optional<Finding> read_blob(Blob& blob, End end) {
    const std::uint64_t before = blob.work();
    if (!blob.read(buffer, base) || (end == End::yes && !blob.finish())) {
      Finding finding = *blob.finding();
      finding.encoding = finding.encoding == "plain" ? blob.name() : std::string(blob.name()) + "+" + finding.encoding;
      finding.offset = blob.begin();
      return finding;
    }
    work += blob.work() - before;
    return std::nullopt;
  }
  std::optional<Finding> scan_blobs(const Views& views, End end, std::size_t& hold) {
    if (depth >= max_depth) return std::nullopt;
    for (const Views::BlobStart& start : views.blobs())
      if (auto finding = open_blob(start.begin, start.bits, start.coding)) return finding;
    for (std::size_t at = seen - std::min(seen, std::size_t{3}); (at = find_blob(buffer, at)) != std::string::npos;
         ++at)
      if (auto finding = open_blob(at, 0, *blob_coding(std::string_view(buffer).substr(at, 4)))) return finding;
    for (const auto& blob : blobs) {
      if (auto finding = read_blob(*blob, end)) return finding;
      if (!blob->over()) hold = std::min(hold, static_cast<std::size_t>(blob->hold() - std::min(blob->hold(), base)));
    }
    std::erase_if(blobs, [](const auto& blob) { return blob->over(); });
    return std::nullopt;
  }

  /// Where a match may begin in the view as it came that has not ended yet.
  [[nodiscard]] std::size_t raw_hold() const {
    const std::size_t octets = std::max(engine.longest_rule(), engine.longest_exact());
    std::size_t hold = buffer.size() - std::min(buffer.size(), octets);
    if (knows()) hold = std::min(hold, go_back(buffer, buffer.size(), engine.longest_folded(), Barriers::stop));
    return hold - std::min(hold, view_slack);
  }

  void release(std::size_t hold, std::string& out) {
    hold = std::max({hold, released, buffer.size() - std::min(buffer.size(), max_hold_octets)});
    out += std::string_view(buffer).substr(released, hold - released);
    released = hold;
    // A little of what was released stays, for context and snippets.
    const std::size_t drop = released - std::min(released, view_slack);
    buffer.erase(0, drop);
    base += drop;
    released -= drop;
    open_from -= std::min(open_from, drop);
    seen = buffer.size();
  }

  [[nodiscard]] Finding report(const Hit& hit, End end) const {
    Finding finding = make_finding(secrets->state(), hit);
    finding.offset = base + hit.begin;
    constexpr std::size_t around = 4096;
    const std::size_t begin = hit.begin - std::min(hit.begin, around);
    const std::size_t stop = std::min(buffer.size(), hit.end + around);
    if (std::string canary = canary_in(secrets->state(), std::string_view(buffer).substr(begin, stop - begin));
        !canary.empty())
      finding.rule = std::move(canary);
    const Edge edge = end == End::yes && stop == buffer.size() ? Edge::closed : Edge::open;
    finding.snippet =
        make_snippet(rules->state(), secrets->state(), std::string_view(buffer).substr(begin, stop - begin),
                     {hit.begin - begin, hit.end - begin}, edge);
    return finding;
  }
};

std::size_t longest_finding(const Rules& rules, const KnownSecrets& secrets, Detectors detectors) {
  std::size_t longest = detectors.token_patterns ? rules.state().longest : 0;
  if (detectors.known_secrets)
    longest = std::max({longest, secrets.state().folded_index.longest(), secrets.state().exact_index.longest()});
  return longest == 0 ? 0 : 3 * longest + view_slack;  // percent-escaped, each octet takes three
}

Stream::Stream(std::shared_ptr<const Rules> rules, std::shared_ptr<const KnownSecrets> secrets, Detectors detectors,
               unsigned depth)
    : state_(std::make_unique<State>(std::move(rules), std::move(secrets), detectors, depth)) {}
Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&&) noexcept = default;
Stream::~Stream() = default;

std::optional<Finding> Stream::write(std::string_view bytes, std::string& released) {
  while (!state_->found && !bytes.empty()) {
    if (auto finding = state_->process(bytes.substr(0, block_octets), released, State::End::no)) return finding;
    bytes.remove_prefix(std::min(bytes.size(), block_octets));
  }
  return state_->found;
}

std::optional<Finding> Stream::finish(std::string& released) {
  if (state_->found) return state_->found;
  return state_->process({}, released, State::End::yes);
}

std::size_t Stream::held() const {
  std::size_t held = state_->buffer.size() + state_->skeleton.size() + state_->structure.values.text().size() +
                     state_->structure.names.text().size();
  for (const auto& blob : state_->blobs) held += blob->held();
  return held;
}

std::uint64_t Stream::work() const {
  return state_->work;
}

}  // namespace bot_bottle::dlp
