// A body as it streams. Invariant: an octet is released only when no match that is still possible can begin at or
// before it. Guarded by dlp_stream_test: no_octet_of_a_secret_is_released_however_the_body_is_cut.
#include <algorithm>
#include <limits>

#include "sidecar/dlp/hits.hpp"
#include "sidecar/dlp/percent.hpp"

namespace bot_bottle::dlp {
namespace {

constexpr std::size_t max_block_octets = std::size_t{64} << 20;  // Hyperscan counts in 32 bits
constexpr std::size_t decode_octets = std::size_t{16} << 10;  // decoded at a time, so that the second view stays small
constexpr std::size_t slack = 8;  // look-ahead of \b, a partial escape, one octet of context
constexpr auto nowhere = std::numeric_limits<std::uint64_t>::max();

}  // namespace

struct Stream::State {
  std::shared_ptr<const Rules> rules;
  std::shared_ptr<const KnownSecrets> secrets;
  Detectors detectors;
  std::size_t window;  // octets of the longest match

  // The view as it came. [base, base + held) is kept; [.., total) includes the block at hand.
  std::string held;
  std::string_view block;
  std::uint64_t base = 0;
  std::uint64_t released_to = 0;
  hs_stream_t* raw = nullptr;

  // The decoded view, open only around escapes: positions count from where it was opened.
  bool decoding = false;
  hs_stream_t* decoded_stream = nullptr;
  std::string decoded;                 // its last octets
  std::vector<std::uint8_t> widths;    // of each, in the view as it came: 1 or 3
  std::uint64_t decoded_base = 0;      // position of decoded[0]
  std::uint64_t first_escape_end = 0;  // matches that end before hold no escape: the other view judges them
  std::uint64_t since_escape = 0;
  std::uint64_t next_raw = 0;  // octets before are decoded, or known to begin no escape

  std::optional<Finding> found;
  enum class View : std::uint8_t { raw, decoded };
  View scanning = View::raw;
  Hit hit;  // what the callback confirmed: positions in the view
  std::uint64_t hit_begin = nowhere;

  State(std::shared_ptr<const Rules> r, std::shared_ptr<const KnownSecrets> s, Detectors d)
      : rules(std::move(r)), secrets(std::move(s)), detectors(d) {
    window = std::max(detectors.token_patterns ? rules->state().longest : 0,
                      detectors.known_secrets ? secrets->state().longest : 0);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    rules->state().give_back(raw);
    rules->state().give_back(decoded_stream);
  }

  [[nodiscard]] std::uint64_t total() const { return base + held.size() + block.size(); }
  [[nodiscard]] std::string copy(std::uint64_t begin, std::uint64_t end) const {
    begin = std::max(begin, base);
    std::string out;
    const std::uint64_t edge = base + held.size();
    if (begin < edge) out += std::string_view(held).substr(begin - base, std::min(end, edge) - begin);
    if (end > edge) out += block.substr(std::max(begin, edge) - edge, end - std::max(begin, edge));
    return out;
  }

  static int on_match(unsigned id, unsigned long long, unsigned long long to, unsigned, void* context) {
    auto& self = *static_cast<State*>(context);
    const Rule& rule = self.rules->state().rules[id];
    const std::uint64_t begin = to - std::min<std::uint64_t>(to, rule.width + 1);
    Located located;
    std::uint64_t window_begin = 0;
    if (self.scanning == View::raw) {
      const std::string text = self.copy(begin, to);
      window_begin = to - text.size();
      if (!rule.confirm(text, located)) return 0;
    } else {
      if (to < self.first_escape_end) return 0;
      window_begin = std::max(begin, self.decoded_base);
      if (!rule.confirm(std::string_view(self.decoded).substr(window_begin - self.decoded_base, to - window_begin),
                        located))
        return 0;
    }
    self.hit = {0, located.end - located.begin, &rule, nullptr};
    self.hit_begin = window_begin + located.begin;
    return 1;
  }

  /// True when something was found (or the engine failed, which counts as a find).
  bool scan_rules(hs_stream_t*& stream, std::string_view bytes) {
    if (!detectors.token_patterns || bytes.empty()) return false;
    if (stream == nullptr) stream = rules->state().take_stream();
    const Scratch scratch(rules->state());
    const hs_error_t code = stream == nullptr || scratch.get() == nullptr
                                ? HS_NOMEM
                                : hs_scan_stream(stream, bytes.data(), static_cast<unsigned>(bytes.size()), 0,
                                                 scratch.get(), &State::on_match, this);
    return settle(code);
  }
  /// Matches that end with the text are only told now.
  bool end_rules(hs_stream_t* stream, View view) {
    scanning = view;
    if (stream == nullptr) return false;
    const Scratch scratch(rules->state());
    return settle(scratch.get() == nullptr ? HS_NOMEM
                                           : hs_reset_stream(stream, 0, scratch.get(), &State::on_match, this));
  }
  bool settle(hs_error_t code) {
    if (hit_begin != nowhere) return true;
    if (code == HS_SUCCESS || code == HS_SCAN_TERMINATED) return false;
    hit = {};
    hit_begin = scanning == View::raw ? released_to : decoded_base;
    return true;
  }

  bool scan_known(std::string_view text, std::uint64_t position) {
    if (!detectors.known_secrets) return false;
    secrets->state().find(text, [&](std::size_t begin, const KnownSecrets::State::Pattern& pattern) {
      if (scanning == View::decoded && position + begin + pattern.size < first_escape_end) return true;
      hit = {0, pattern.size, nullptr, &pattern};
      hit_begin = position + begin;
      return false;
    });
    return hit_begin != nowhere;
  }

  bool scan_raw() {
    scanning = View::raw;
    if (detectors.known_secrets && !secrets->state().empty()) {
      // What lies across the seam first, then the block where it lies.
      const std::size_t reach = secrets->state().longest - 1;
      const std::uint64_t edge = base + held.size();
      if (!held.empty()) {
        const std::uint64_t begin = edge - std::min(held.size(), reach);
        if (scan_known(copy(begin, edge + std::min(block.size(), reach)), begin)) return true;
      }
      if (scan_known(block, edge)) return true;
    }
    return scan_rules(raw, block);
  }

  /// The first valid escape at or after next_raw; what may become one with the next block is left for then.
  [[nodiscard]] std::uint64_t find_next_escape() const {
    const std::uint64_t edge = base + held.size();
    if (next_raw < edge) {
      const std::string seam = copy(next_raw, std::min(total(), edge + 2));
      if (const std::size_t at = find_escape(seam); at != std::string::npos) return next_raw + at;
    }
    const std::size_t from = next_raw > edge ? static_cast<std::size_t>(next_raw - edge) : 0;
    const std::size_t at = find_escape(block, from);
    return at == std::string_view::npos ? nowhere : edge + at;
  }

  enum class End : std::uint8_t { no, yes };

  bool scan_decoded(End end) {
    scanning = View::decoded;
    while (next_raw < total()) {
      if (!decoding) {
        const std::uint64_t escape = find_next_escape();
        if (escape == nowhere) {
          next_raw = std::max(next_raw, total() - std::min<std::uint64_t>(total(), 2));
          return false;
        }
        decoding = true;
        next_raw = std::max(base, escape - std::min<std::uint64_t>(escape, window + 1));
        first_escape_end = escape - next_raw + 1;
        decoded.clear();
        widths.clear();
        decoded_base = since_escape = 0;
      }
      const std::uint64_t before = next_raw;
      if (decode_some(end)) return true;
      if (since_escape > window + 1) stop_decoding();
      if (next_raw == before) return false;  // a partial escape: its rest is still to come
    }
    return false;
  }

  bool decode_some(End end) {
    const std::string text = copy(next_raw, std::min<std::uint64_t>(total(), next_raw + decode_octets));
    const bool more = end == End::no || next_raw + text.size() < total();
    const std::size_t old_size = decoded.size();
    std::size_t at = 0;
    while (at < text.size() && since_escape <= window + 1) {
      if (text[at] == '%' && more && text.size() - at < 3 && ends_in_partial_escape(text)) break;
      const int octet = escape_at(text, at);
      decoded += octet >= 0 ? static_cast<char>(octet) : text[at];
      widths.push_back(octet >= 0 ? 3 : 1);
      since_escape = octet >= 0 ? 0 : since_escape + 1;
      // Up to the first escape nothing has been seen yet: the count begins there.
      if (decoded_base + decoded.size() < first_escape_end) since_escape = 0;
      at += octet >= 0 ? 3U : 1U;
    }
    next_raw += at;
    if (decoded.size() == old_size) return false;
    const std::size_t reach =
        detectors.known_secrets && secrets->state().longest > 0 ? secrets->state().longest - 1 : 0;
    const std::size_t begin = old_size - std::min(old_size, reach);
    if (scan_known(std::string_view(decoded).substr(begin), decoded_base + begin)) return true;
    if (scan_rules(decoded_stream, std::string_view(decoded).substr(old_size))) return true;
    const std::size_t keep = window + snippet_margin + slack;
    if (decoded.size() > keep) {
      const std::size_t drop = decoded.size() - keep;
      decoded.erase(0, drop);
      widths.erase(widths.begin(), widths.begin() + static_cast<std::ptrdiff_t>(drop));
      decoded_base += drop;
    }
    return false;
  }

  void stop_decoding() {
    decoding = false;
    since_escape = 0;
    if (decoded_stream != nullptr) hs_reset_stream(decoded_stream, 0, nullptr, nullptr, nullptr);
  }

  [[nodiscard]] Finding report(End end) {
    Finding finding = make_finding(secrets->state(), hit, scanning == View::decoded ? "percent" : "");
    const std::size_t size = hit.end;
    const std::size_t reach = window + snippet_margin;
    if (scanning == View::raw) {
      const std::uint64_t begin = std::max(base, hit_begin - std::min<std::uint64_t>(hit_begin, reach));
      const std::uint64_t stop = std::min<std::uint64_t>(total(), hit_begin + size + reach);
      const Edge edge = end == End::yes && stop == total() ? Edge::closed : Edge::open;
      const auto at = static_cast<std::size_t>(hit_begin - begin);
      finding.offset = hit_begin;
      finding.snippet = make_snippet(rules->state(), secrets->state(), copy(begin, stop), {at, at + size}, edge);
    } else {
      const auto at = static_cast<std::size_t>(hit_begin - decoded_base);
      std::uint64_t raw_offset = next_raw;
      for (std::size_t i = decoded.size(); i > at; --i) raw_offset -= widths[i - 1];
      finding.offset = raw_offset;
      finding.snippet = make_snippet(rules->state(), secrets->state(), decoded, {at, at + size}, Edge::open);
    }
    return finding;
  }

  std::optional<Finding> process(std::string_view bytes, std::string& out, End end) {
    block = bytes;
    bool hit_now = window > 0 && !block.empty() && scan_raw();
    if (!hit_now && window > 0 && end == End::yes) hit_now = end_rules(raw, View::raw);
    if (!hit_now && window > 0) {
      hit_now = scan_decoded(end);
      if (!hit_now && end == End::yes && decoding) hit_now = end_rules(decoded_stream, View::decoded);
    }
    if (hit_now) {
      found = report(end);
      block = {};
      held.clear();
      return found;
    }
    release(out, end);
    return std::nullopt;
  }

  void release(std::string& out, End end) {
    const std::uint64_t all = total();
    const std::uint64_t hold =
        end == End::yes || window == 0 ? 0 : (decoding ? 3 * std::uint64_t{window} : window) + slack;
    const std::uint64_t edge = base + held.size();
    const std::uint64_t safe = std::max(released_to, all - std::min(all, hold));
    if (released_to < edge)
      out += std::string_view(held).substr(released_to - base, std::min(safe, edge) - released_to);
    if (safe > edge) out += block.substr(std::max(released_to, edge) - edge, safe - std::max(released_to, edge));
    released_to = safe;
    // A little of what was released stays, for the character before a match and for snippets.
    const std::uint64_t keep = std::max(base, safe - std::min<std::uint64_t>(safe, snippet_margin + slack));
    if (keep >= edge) {
      held.assign(block.substr(keep - edge));
    } else {
      held.erase(0, keep - base);
      held += block;
    }
    base = keep;
    block = {};
  }
};

std::size_t longest_finding(const Rules& rules, const KnownSecrets& secrets, Detectors detectors) {
  const std::size_t window = std::max(detectors.token_patterns ? rules.state().longest : 0,
                                      detectors.known_secrets ? secrets.state().longest : 0);
  return window == 0 ? 0 : 3 * window + slack;  // escaped, each octet takes three
}

Stream::Stream(std::shared_ptr<const Rules> rules, std::shared_ptr<const KnownSecrets> secrets, Detectors detectors)
    : state_(std::make_unique<State>(std::move(rules), std::move(secrets), detectors)) {}
Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&&) noexcept = default;
Stream::~Stream() = default;

std::optional<Finding> Stream::write(std::string_view bytes, std::string& released) {
  while (!state_->found && !bytes.empty()) {
    if (auto finding = state_->process(bytes.substr(0, max_block_octets), released, State::End::no)) return finding;
    bytes.remove_prefix(std::min(bytes.size(), max_block_octets));
  }
  return state_->found;
}

std::optional<Finding> Stream::finish(std::string& released) {
  if (state_->found) return state_->found;
  return state_->process({}, released, State::End::yes);
}

}  // namespace bot_bottle::dlp
