// Pieces of secrets over many requests. Only six-character grams that tell a secret from words and numbers are counted
// (known_secrets.cpp), so that ordinary traffic adds up to nothing: "passwo" and "exampl" are in every text.
#include "sidecar/dlp/fragments.hpp"

#include <algorithm>

namespace bot_bottle::dlp {
namespace {
constexpr std::uint32_t remembered_s = 3600;
constexpr std::uint32_t count_every_s = 30;
constexpr std::uint32_t much_percent = 60;
}  // namespace

void Fragments::State::count_again(Seen& one, std::uint32_t now_s) const {
  one.live = static_cast<std::uint32_t>(
      std::ranges::count_if(one.at_s, [&](std::uint32_t at) { return at != 0 && now_s - at <= remembered_s; }));
  one.counted_s = now_s;
}

bool Fragments::State::note_gram(std::string_view skeleton, std::size_t at, std::uint32_t now_s,
                                 std::optional<std::uint32_t>& much) {
  const KnownSecrets::State& known = secrets->state();
  const std::uint64_t gram = KnownSecrets::State::gram6_at(skeleton.data() + at);
  const std::uint32_t hash = KnownSecrets::State::gram6_hash(gram);
  if (((known.gram6_bitmap[hash >> 6U] >> (hash & 63U)) & 1U) == 0) return false;
  const auto first = std::ranges::lower_bound(known.grams6, gram, {}, &KnownSecrets::State::Gram6::gram);
  const bool any = first != known.grams6.end() && first->gram == gram;
  for (auto found = first; found != known.grams6.end() && found->gram == gram; ++found) {
    Seen& one = seen[found->secret];
    std::uint32_t& when = one.at_s[found->index];
    if (now_s - one.counted_s >= count_every_s) count_again(one, now_s);
    if (when == 0 || now_s - when > remembered_s) ++one.live;
    when = now_s;
    if (one.live * 100 >= known.gram6_count[found->secret] * much_percent) much = found->secret;
  }
  return any;
}

/// A gram at i holds the four characters at the one multiple of three among i, i + 1, i + 2 (they end at i + 6 or
/// before), so a look at every third place sees each gram once. Guarded by
/// dlp_disguise_test: every_gram_is_noticed_wherever_it_stands.
void Fragments::State::note_all(std::string_view skeleton, std::uint32_t now_s, std::optional<std::uint32_t>& much) {
  constexpr std::size_t step = gram6_octets - piece4_octets + 1;
  const KnownSecrets::State& known = secrets->state();
  const std::size_t last = skeleton.size() - gram6_octets;
  const auto look = [&](std::size_t at) {
    for (std::size_t i = at - std::min(at, step - 1); i <= at && i <= last; ++i) note_gram(skeleton, i, now_s, much);
  };
  std::size_t at = 0;
  const char* data = skeleton.data();
  const std::size_t end = skeleton.size() - piece4_octets + 1;
  for (; at + 3 * step < end && !much; at += 4 * step) {
    // Nearly every one ends here: one branch for four.
    const bool first = known.may_be_piece4(data + at);
    const bool second = known.may_be_piece4(data + at + step);
    const bool third = known.may_be_piece4(data + at + 2 * step);
    const bool fourth = known.may_be_piece4(data + at + 3 * step);
    if (!(static_cast<unsigned>(first) | static_cast<unsigned>(second) | static_cast<unsigned>(third) |
          static_cast<unsigned>(fourth)))
      continue;
    if (first) look(at);
    if (second) look(at + step);
    if (third) look(at + 2 * step);
    if (fourth) look(at + 3 * step);
  }
  for (; at < end && !much; at += step)
    if (known.may_be_piece4(data + at)) look(at);
}

void Fragments::State::note_sampled(std::string_view skeleton, std::uint32_t now_s,
                                    std::optional<std::uint32_t>& much) {
  constexpr std::size_t stride = 8;
  const KnownSecrets::State& known = secrets->state();
  const std::size_t last = skeleton.size() - gram6_octets;
  for (std::size_t at = 0; at <= last && !much; at += stride) {
    if (!known.may_be_piece4(skeleton.data() + at) || !note_gram(skeleton, at, now_s, much)) continue;
    for (std::size_t i = at; i > at - std::min(at, stride - 1) && note_gram(skeleton, i - 1, now_s, much); --i) {
    }
    for (std::size_t i = at + 1; i < at + stride && i <= last && note_gram(skeleton, i, now_s, much); ++i) {
    }
  }
}

std::optional<std::uint32_t> Fragments::State::note(std::string_view skeleton, Grams grams) {
  if (secrets->state().grams6.empty() || skeleton.size() < gram6_octets) return std::nullopt;
  const auto now_s = static_cast<std::uint32_t>(now_ms() / 1000 + 1);
  std::optional<std::uint32_t> much;
  if (grams == Grams::all) {
    note_all(skeleton, now_s, much);
  } else {
    note_sampled(skeleton, now_s, much);
  }
  return much;
}

Finding make_fragments_finding(const KnownSecrets::State& secrets, std::uint32_t secret) {
  Finding finding;
  finding.rule = secrets.names[secret];
  finding.encoding = "fragments";
  return finding;
}

Fragments::Fragments(std::shared_ptr<const KnownSecrets> secrets, std::function<std::uint64_t()> now_ms)
    : state_(std::make_unique<State>()) {
  state_->secrets = std::move(secrets);
  state_->now_ms = std::move(now_ms);
  for (const std::uint32_t count : state_->secrets->state().gram6_count)
    state_->seen.push_back({std::vector<std::uint32_t>(count, 0), 0, 0});
}
Fragments::~Fragments() = default;

std::optional<Finding> Fragments::note(std::string_view text) {
  std::string skeleton;
  SkeletonState start;
  append_skeleton(skeleton, text, start);
  const auto much = state_->note(skeleton, State::Grams::all);
  if (!much) return std::nullopt;
  return make_fragments_finding(state_->secrets->state(), *much);
}

}  // namespace bot_bottle::dlp
