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

  enum class End : std::uint8_t { no, yes };

  /// What of the end of `text` could begin a secret: where it begins. A line end closes the event of a stream: what
  /// stands before it waits for nothing.
  [[nodiscard]] std::size_t open_from(std::string_view text, Flush flush) const {
    const KnownSecrets::State& known = secrets->state();
    std::size_t open = text.size() - known.exact_index.open_suffix(text);
    const std::size_t begin = go_back(text, text.size(), known.folded_index.longest(), Barriers::stop);
    std::string skeleton;
    SkeletonState state;
    state.previous = begin > 0 ? text[begin - 1] : '\0';
    append_skeleton(skeleton, text.substr(begin), state);
    const std::size_t suffix = known.folded_index.open_suffix(skeleton);
    if (suffix == 0 && skeleton.empty()) return std::min(open, lead_from(text, text.size()));
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
  /// Signs that a secret begins with and that are no part of its skeleton.
  [[nodiscard]] std::size_t lead_from(std::string_view text, std::size_t at) const {
    for (std::size_t size = std::min(secrets->state().longest_lead, at); size > 0; --size) {
      const std::string_view signs = text.substr(at - size, size);
      if (secrets->state().begins_lead(signs)) return at - size;
    }
    return at;
  }

  std::size_t process(std::string_view bytes, std::string& out, Flush flush, End end) {
    if (secrets->state().empty()) {
      out += bytes;
      return 0;
    }
    buffer += bytes;
    const Engine engine{
        nullptr, secrets->state(), {.token_patterns = false, .known_secrets = true}, Engine::Decode::escapes};
    std::vector<Hit> hits = find_hits(engine, buffer, Extent::all);
    std::ranges::sort(hits, {}, &Hit::begin);
    std::size_t safe = buffer.size();
    if (end == End::no) {
      safe = open_from(buffer, flush);
      const std::size_t tail = buffer.size() - std::min(buffer.size(), decoded_octets);
      if (const std::size_t escape = first_escape(tail); escape < buffer.size()) {
        const Unescaped view = unescape(std::string_view(buffer).substr(escape));
        safe = std::min(safe, escape + view.origin[open_from(view.text, flush)]);
        // Half an escape may become a part of the secret that stands before it.
        const std::size_t half = buffer.find_last_of("%\\&");
        if (half != std::string::npos && half >= escape && buffer.size() - half < 8 &&
            buffer.find('\n', half) == std::string::npos) {
          const Unescaped before = unescape(std::string_view(buffer).substr(escape, half - escape));
          safe = std::min({safe, half, escape + before.origin[open_from(before.text, Flush::no)]});
        }
      }
      for (const Hit& hit : hits)
        if (hit.end == buffer.size() && hit.pattern->tail > 0) safe = std::min(safe, hit.begin);
    }
    std::size_t count = 0;
    std::size_t at = masked_to;  // written up to here
    for (const Hit& range : hits) {
      if (range.begin >= safe) break;  // inside of what may be a longer secret: looked at again when that is known
      if (range.end <= at) continue;
      // A range that touches the last mask belongs to the same secret (its pieces overlap): one mask stands for both.
      if (at == 0 || range.begin > at) {
        out += std::string_view(buffer).substr(at, range.begin - at);
        out += mask;
        ++count;
      }
      at = masked_to = range.end;
    }
    if (at < safe) out += std::string_view(buffer).substr(at, safe - at);
    const std::size_t drop = std::min(safe, buffer.size());
    buffer.erase(0, drop);
    masked_to = masked_to > drop ? masked_to - drop : 0;
    return count;
  }

  static constexpr std::size_t decoded_octets = 8192;
  /// The first octet at or after `from` that could begin an escape, whole or not.
  [[nodiscard]] std::size_t first_escape(std::size_t from) const {
    const std::size_t whole = find_escape(buffer, from);
    const std::size_t half =
        buffer.find_first_of("%\\&", buffer.size() - std::min(buffer.size() - from, std::size_t{8}));
    return std::min({whole, half, buffer.size()}) == buffer.size() ? buffer.size() : from;
  }
};

Scrubber::Scrubber(std::shared_ptr<const KnownSecrets> secrets)
    : state_(std::make_unique<State>(State{std::move(secrets), {}, 0})) {}
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
