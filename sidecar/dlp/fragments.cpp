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

std::optional<std::uint32_t> Fragments::State::note(std::string_view skeleton, std::size_t stride) {
  if (secrets->state().grams6.empty() || skeleton.size() < gram6_octets) return std::nullopt;
  const auto now_s = static_cast<std::uint32_t>(now_ms() / 1000 + 1);
  std::optional<std::uint32_t> much;
  const std::size_t last = skeleton.size() - gram6_octets;
  for (std::size_t at = 0; at <= last && !much; at += stride) {
    if (!note_gram(skeleton, at, now_s, much) || stride == 1) continue;
    for (std::size_t i = at; i > at - std::min(at, stride - 1) && note_gram(skeleton, i - 1, now_s, much); --i) {
    }
    for (std::size_t i = at + 1; i < at + stride && i <= last && note_gram(skeleton, i, now_s, much); ++i) {
    }
  }
  return much;
}

Finding make_fragments_finding(const KnownSecrets::State& secrets, std::uint32_t secret) {
  Finding finding;
  finding.rule = "known-secret:" + secrets.names[secret];
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
  const auto much = state_->note(skeleton, 1);
  if (!much) return std::nullopt;
  return make_fragments_finding(state_->secrets->state(), *much);
}

}  // namespace bot_bottle::dlp
