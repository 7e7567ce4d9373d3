// A body as it streams. Invariant: an octet is released only when no match that is still possible, in any view, can
// begin at or before it. Guarded by dlp_stream_test: no_octet_of_a_secret_is_released_however_the_body_is_cut.
#include <algorithm>
#include <limits>

#include "sidecar/dlp/hits.hpp"
#include "sidecar/dlp/views.hpp"

namespace bot_bottle::dlp {
namespace {

constexpr std::size_t block_octets = std::size_t{64} << 10;
constexpr std::size_t max_hold_octets = std::size_t{64} << 10;
/// Octets after the first of the buffer where an escape may have been cut off; what is found there was judged before.
constexpr std::size_t torn_octets = 32;
/// What is held is looked at again with each write. Octets pay for that; who sends one at a time soon waits a little.
constexpr std::uint64_t first_credit = std::uint64_t{256} << 10;
constexpr std::uint64_t credit_per_octet = 4;
constexpr auto nowhere = std::numeric_limits<std::uint64_t>::max();

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
  std::uint64_t credit = first_credit;
  std::uint64_t work = 0;

  hs_stream_t* raw = nullptr;
  std::string skeleton;  // of the end of the body
  SkeletonState skeleton_state;

  std::optional<Finding> found;
  std::vector<Hit> hits;

  State(std::shared_ptr<const Rules> r, std::shared_ptr<const KnownSecrets> s, Detectors d)
      : rules(std::move(r)), secrets(std::move(s)), engine{&rules->state(), secrets->state(), d} {}
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
    Located located;
    if (!rule.confirm(std::string_view(self.buffer).substr(begin, end - begin), located)) return 0;
    self.hits.push_back({begin + located.begin, begin + located.end, &rule, nullptr, {}});
    return 1;
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
      const std::size_t keep = known.folded_index.longest();
      if (skeleton.size() > keep) skeleton.erase(0, skeleton.size() - keep);
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
    if (end == End::no && fresh < seen && credit < seen) return std::nullopt;
    credit -= std::min<std::uint64_t>(credit, seen);
    const std::string_view block = std::string_view(buffer).substr(seen);
    work += block.size();
    hits.clear();
    scan_known(block);
    if (hits.empty()) scan_rules(block);
    if (hits.empty() && end == End::yes) end_rules();
    std::size_t hold = buffer.size();
    if (hits.empty()) {
      Views views(engine, buffer, end == End::yes ? 0 : seen, end == End::yes ? Edge::closed : Edge::open, Extent::all,
                  hits);
      views.scan();
      work += views.work();
      hold = views.hold();
      if (base > 0) std::erase_if(hits, [](const Hit& hit) { return hit.begin < torn_octets; });
    }
    seen = buffer.size();
    if (!hits.empty()) {
      found = report(*std::ranges::min_element(hits, {}, &Hit::begin), end);
      buffer.clear();
      return found;
    }
    release(end == End::yes ? buffer.size() : std::min(hold, raw_hold()), out);
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
    seen = buffer.size();
  }

  [[nodiscard]] Finding report(const Hit& hit, End end) const {
    Finding finding = make_finding(secrets->state(), hit);
    finding.offset = base + hit.begin;
    constexpr std::size_t around = 4096;
    const std::size_t begin = hit.begin - std::min(hit.begin, around);
    const std::size_t stop = std::min(buffer.size(), hit.end + around);
    const Edge edge = end == End::yes && stop == buffer.size() ? Edge::closed : Edge::open;
    finding.snippet =
        make_snippet(rules->state(), secrets->state(), std::string_view(buffer).substr(begin, stop - begin),
                     {hit.begin - begin, hit.end - begin}, edge);
    return finding;
  }
};

Stream::Stream(std::shared_ptr<const Rules> rules, std::shared_ptr<const KnownSecrets> secrets, Detectors detectors)
    : state_(std::make_unique<State>(std::move(rules), std::move(secrets), detectors)) {}
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

std::uint64_t Stream::work() const {
  return state_->work;
}

}  // namespace bot_bottle::dlp
