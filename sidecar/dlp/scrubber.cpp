// Known secrets out of a response. Only what could begin a secret is held back, so an event stream is never delayed.
#include <algorithm>

#include "sidecar/dlp/hits.hpp"
#include "sidecar/dlp/percent.hpp"

namespace bot_bottle::dlp {

struct Scrubber::State {
  std::shared_ptr<const KnownSecrets> secrets;
  std::string buffer;         // the octets that are still held
  std::size_t masked_to = 0;  // of them, those that the last mask stands for already

  enum class End : std::uint8_t { no, yes };

  /// Ranges of secrets in the buffer, in order, merged; those of the decoded view included.
  [[nodiscard]] std::vector<Located> find_ranges(const DecodedText* decoded) const {
    std::vector<Located> ranges;
    secrets->state().find(buffer, [&](std::size_t begin, const auto& pattern) {
      ranges.push_back({begin, begin + pattern.size});
      return true;
    });
    if (decoded != nullptr) {
      secrets->state().find(decoded->text, [&](std::size_t begin, const auto& pattern) {
        ranges.push_back({decoded->origin[begin], decoded->origin[begin + pattern.size]});
        return true;
      });
    }
    std::ranges::sort(ranges, {}, &Located::begin);
    return ranges;
  }

  /// How much of the end of the buffer may begin a secret, in either view.
  [[nodiscard]] std::size_t open_octets(const DecodedText* decoded) const {
    std::size_t open = secrets->state().open_suffix(buffer);
    const std::size_t partial = !ends_in_partial_escape(buffer) ? 0 : buffer.ends_with('%') ? 1U : 2U;
    open = std::max(open, partial);
    if (decoded == nullptr) return open;
    // What a partial escape will be is not known: judged without it.
    std::string_view text = decoded->text;
    text.remove_suffix(partial);
    if (const std::size_t suffix = secrets->state().open_suffix(text); suffix > 0)
      open = std::max(open, buffer.size() - decoded->origin[text.size() - suffix]);
    return open;
  }

  std::size_t process(std::string_view bytes, std::string& out, End end) {
    if (secrets->state().empty()) {
      out += bytes;
      return 0;
    }
    buffer += bytes;
    std::optional<DecodedText> decoded;
    if (find_escape(buffer) != std::string::npos || ends_in_partial_escape(buffer)) decoded = decode_percent(buffer);
    const DecodedText* view = decoded ? &*decoded : nullptr;
    const std::size_t safe = end == End::yes ? buffer.size() : buffer.size() - open_octets(view);
    std::size_t count = 0;
    std::size_t at = masked_to;  // written up to here
    for (const Located& range : find_ranges(view)) {
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
    if (at < safe) {
      out += std::string_view(buffer).substr(at, safe - at);
      at = safe;
    }
    const std::size_t drop = std::min(safe, buffer.size());
    buffer.erase(0, drop);
    masked_to = masked_to > drop ? masked_to - drop : 0;
    return count;
  }
};

Scrubber::Scrubber(std::shared_ptr<const KnownSecrets> secrets)
    : state_(std::make_unique<State>(State{std::move(secrets), {}, 0})) {}
Scrubber::Scrubber(Scrubber&&) noexcept = default;
Scrubber& Scrubber::operator=(Scrubber&&) noexcept = default;
Scrubber::~Scrubber() = default;

std::size_t Scrubber::write(std::string_view bytes, std::string& released, Flush) {
  return state_->process(bytes, released, State::End::no);
}
std::size_t Scrubber::finish(std::string& released) {
  return state_->process({}, released, State::End::yes);
}

}  // namespace bot_bottle::dlp
