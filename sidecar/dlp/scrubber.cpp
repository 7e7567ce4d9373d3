// Known secrets out of a response. Only what could begin a secret is held back, so an event stream is never delayed.
#include <algorithm>

#include "sidecar/dlp/hits.hpp"
#include "sidecar/dlp/unescape.hpp"
#include "sidecar/dlp/views.hpp"

namespace bot_bottle::dlp {

struct Scrubber::State {
  std::shared_ptr<const KnownSecrets> secrets;
  std::string buffer;         // the octets that are still held
  std::size_t masked_to = 0;  // of them, those that the last mask stands for already
  std::string skeleton;       // of the text that is looked at; kept for its memory

  enum class End : std::uint8_t { no, yes };

  /// What of the end of `text` could begin a secret: where it begins. A line end closes the event of a stream: what
  /// stands before it waits for nothing. `letters`: the skeleton, of which `gap` octets of the end are no part.
  [[nodiscard]] std::size_t open_from(std::string_view text, std::string_view letters, std::size_t gap,
                                      Flush flush) const {
    const KnownSecrets::State& known = secrets->state();
    std::size_t open = text.size() - known.exact_index.open_suffix(text);
    if (letters.empty() || gap > max_gap_octets) return std::min(open, lead_from(text, text.size()));
    const std::size_t suffix = known.folded_index.open_suffix(letters);
    const std::size_t after = go_back(text, text.size(), 1, Barriers::count) + 1;
    const bool line_ends = text.substr(after).find('\n') != std::string_view::npos;
    if (!(flush == Flush::now && line_ends)) {
      std::size_t first = suffix == 0 ? text.size() : go_back(text, text.size(), suffix, Barriers::count);
      // The key of a pattern may go without its first letter (see Pattern::first).
      const std::size_t before = go_back(text, first, 1, Barriers::count);
      if (before < first && !is_kept('\\', text[before])) first = before;
      if (first < text.size()) open = std::min(open, lead_from(text, first));
    }
    return std::min(open, lead_from(text, text.size()));
  }
  [[nodiscard]] std::size_t open_from(std::string_view text, Flush flush) const {
    std::string letters;
    SkeletonState state;
    append_skeleton(letters, text, state);
    return open_from(text, letters, state.gap, flush);
  }
  /// Signs that a secret begins with and that are no part of its skeleton.
  [[nodiscard]] std::size_t lead_from(std::string_view text, std::size_t at) const {
    for (std::size_t size = std::min(secrets->state().longest_lead, at); size > 0; --size) {
      const std::string_view signs = text.substr(at - size, size);
      if (secrets->state().begins_lead(signs)) return at - size;
    }
    return at;
  }
  /// The same in what is seen of the end of `text` when its escapes are undone.
  [[nodiscard]] std::size_t open_view_from(std::string_view text, Flush flush) const {
    const std::size_t escape = first_escape(text, text.size() - std::min(text.size(), decoded_octets));
    if (escape == text.size()) return text.size();
    const Unescaped view = unescape(text.substr(escape));
    const std::size_t open = escape + view.origin[open_from(view.text, flush)];
    // Half an escape may become a part of the secret that stands before it.
    const std::size_t half = text.find_last_of("%\\&");
    if (half == std::string_view::npos || half < escape || text.size() - half >= 8 ||
        text.find('\n', half) != std::string_view::npos)
      return open;
    const Unescaped before = unescape(text.substr(escape, half - escape));
    return std::min({open, half, escape + before.origin[open_from(before.text, Flush::no)]});
  }

  std::size_t process(std::string_view bytes, std::string& out, Flush flush, End end) {
    const KnownSecrets::State& known = secrets->state();
    if (known.empty()) {
      out += bytes;
      return 0;
    }
    if (!buffer.empty()) buffer += bytes;
    const std::string_view text = buffer.empty() ? bytes : std::string_view(buffer);
    std::vector<Hit> hits;
    skeleton.clear();
    SkeletonState state;
    append_skeleton(skeleton, text, state);
    known.find(text, skeleton, [&](std::size_t from, std::size_t to, const auto& pattern) {
      hits.push_back({from, to, nullptr, &pattern, {}});
      return true;
    });
    const bool escapes = find_escape(text) != std::string_view::npos;
    if (escapes) {
      const Engine engine{nullptr, known, {.token_patterns = false, .known_secrets = true}, Engine::Decode::escapes};
      Views(engine, text, 0, Edge::closed, Extent::all, hits).scan();
    }
    std::ranges::sort(hits, {}, &Hit::begin);
    std::size_t safe = text.size();
    if (end == End::no) {
      safe = std::min(open_from(text, skeleton, state.gap, flush), open_view_from(text, flush));
      for (const Hit& hit : hits)
        if (hit.end == text.size() && hit.pattern->tail > 0) safe = std::min(safe, hit.begin);
    }
    std::size_t count = 0;
    std::size_t at = masked_to;  // written up to here
    for (const Hit& range : hits) {
      if (range.begin >= safe) break;  // inside of what may be a longer secret: looked at again when that is known
      if (range.end <= at) continue;
      // A range that touches the last mask belongs to the same secret (its pieces overlap): one mask stands for both.
      if (at == 0 || range.begin > at) {
        out += text.substr(at, range.begin - at);
        out += mask;
        ++count;
      }
      at = masked_to = range.end;
    }
    if (at < safe) out += text.substr(at, safe - at);
    if (buffer.empty())
      buffer.assign(text.substr(safe));
    else
      buffer.erase(0, safe);
    masked_to = masked_to > safe ? masked_to - safe : 0;
    return count;
  }

  static constexpr std::size_t decoded_octets = 8192;
  /// `from`, when an octet at or after it could begin an escape, whole or not; else the end.
  [[nodiscard]] static std::size_t first_escape(std::string_view text, std::size_t from) {
    const std::size_t half = text.find_first_of("%\\&", text.size() - std::min(text.size() - from, std::size_t{8}));
    return half != std::string_view::npos || find_escape(text, from) != std::string_view::npos ? from : text.size();
  }
};

Scrubber::Scrubber(std::shared_ptr<const KnownSecrets> secrets)
    : state_(std::make_unique<State>(State{std::move(secrets), {}, 0, {}})) {}
Scrubber::Scrubber(Scrubber&&) noexcept = default;
Scrubber& Scrubber::operator=(Scrubber&&) noexcept = default;
Scrubber::~Scrubber() = default;

std::size_t Scrubber::write(std::string_view bytes, std::string& released, Flush flush) {
  return state_->process(bytes, released, flush, State::End::no);
}
std::size_t Scrubber::finish(std::string& released) {
  return state_->process({}, released, Flush::now, State::End::yes);
}

}  // namespace bot_bottle::dlp
