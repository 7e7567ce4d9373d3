// Secrets → patterns. What a finite number of encodings makes of a secret is looked for as it is, also encoded twice;
// escapes, separators and compression are views of the text (unescape, runs, blobs).
#include "sidecar/dlp/known_secrets.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <unordered_set>

#include "core/base/text.hpp"
#include "sidecar/dlp/unescape.hpp"

namespace bot_bottle::dlp {
namespace {

constexpr std::size_t min_secret_octets = 8;  // shorter ones are in every text (spec 04)
constexpr std::size_t max_secret_octets = std::size_t{64} << 10;
constexpr std::size_t max_secrets = 1000;
constexpr std::size_t min_key_octets = 8;
/// Folding makes all numbers of this many digits and less look alike: dates, sums of money.
constexpr std::size_t max_plain_digits = 11;
/// Beyond, only single encodings are patterns: bounds memory and the time a sidecar takes to start.
constexpr std::size_t max_pieces_twice = 64;
constexpr std::size_t min_telling_grams = 10;

constexpr std::array<Spelling, 11> outer_spellings{{{Encoding::base64, 0, false},
                                                    {Encoding::base64, 1, false},
                                                    {Encoding::base64, 2, false},
                                                    {Encoding::base32, 0, false},
                                                    {Encoding::base32, 1, false},
                                                    {Encoding::base32, 2, false},
                                                    {Encoding::base32, 3, false},
                                                    {Encoding::base32, 4, false},
                                                    {Encoding::hex, 0, false},
                                                    {Encoding::reversed, 0, false},
                                                    {Encoding::rot13, 0, false}}};
constexpr std::array<Spelling, 5> inner_only{{{Encoding::utf16, 0, false},
                                              {Encoding::base64, 0, true},
                                              {Encoding::base64, 1, true},
                                              {Encoding::base64, 2, true},
                                              {Encoding::hex, 0, true}}};

/// Wiped before it is reused or given back, and never grown, so that no copy of a secret stays behind.
class Buffer {
 public:
  explicit Buffer(std::size_t size) { text_.reserve(size); }
  ~Buffer() { wipe(text_.data(), text_.size()); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  std::string& fresh() {
    wipe(text_.data(), text_.size());
    text_.clear();
    return text_;
  }
  std::string& text() { return text_; }

 private:
  std::string text_;
};

class Builder {
 public:
  Builder(KnownSecrets::State& state, std::size_t pieces) : state_(state), all_(room(pieces)) {}

  void add_secret(std::string_view value, std::uint32_t secret) {
    secret_ = secret;
    for (std::size_t begin = 0;; begin += max_piece_octets - piece_overlap_octets) {
      const bool last = begin + max_piece_octets >= value.size();
      if (last) begin = value.size() - std::min(value.size(), max_piece_octets);
      add_piece(value.substr(begin, max_piece_octets));
      if (last) break;
    }
    add_grams(value);
  }

  void finish() {
    state_.bytes = SecretBytes(all_.text());
    const auto build = [&](GramIndex& index, const std::vector<KnownSecrets::State::Pattern>& patterns) {
      std::vector<std::string_view> keys;
      keys.reserve(patterns.size());
      for (const auto& pattern : patterns) keys.push_back(state_.bytes.view().substr(pattern.key, pattern.key_size));
      index.build(keys);
    };
    build(state_.folded_index, state_.folded);
    build(state_.exact_index, state_.exact);
    for (const auto& pattern : state_.folded) {
      state_.longest_lead = std::max<std::size_t>(state_.longest_lead, pattern.lead);
      for (std::uint32_t size = 1; size <= pattern.lead; ++size)
        state_.leads.emplace_back(state_.text_of(pattern).substr(0, size));
    }
    std::ranges::sort(state_.leads);
    state_.leads.erase(std::unique(state_.leads.begin(), state_.leads.end()), state_.leads.end());
    std::ranges::sort(state_.grams6, {}, &KnownSecrets::State::Gram6::gram);
    state_.gram6_bitmap.assign(65536 / 64, 0);
    for (const auto& gram : state_.grams6) {
      const std::uint32_t hash = KnownSecrets::State::gram6_hash(gram.gram);
      state_.gram6_bitmap[hash >> 6U] |= std::uint64_t{1} << (hash & 63U);
    }
    // So large that the pieces fill a sixty-fourth of it at most, with a hundred secrets too.
    unsigned bits = 16;
    constexpr std::size_t pieces = gram6_octets - piece4_octets + 1;
    while (bits < 20 && (std::size_t{1} << bits) < state_.grams6.size() * pieces * 64) ++bits;
    state_.piece4_shift = 32 - bits;
    state_.piece4_bitmap.assign((std::size_t{1} << bits) / 64, 0);
    for (const auto& gram : state_.grams6) {
      std::array<char, sizeof gram.gram> letters{};
      std::memcpy(letters.data(), &gram.gram, sizeof gram.gram);
      for (std::size_t i = 0; i < pieces; ++i) {
        const std::uint32_t hash = state_.piece4_hash(letters.data() + i);
        state_.piece4_bitmap[hash >> 6U] |= std::uint64_t{1} << (hash & 63U);
      }
    }
  }

 private:
  static std::size_t room(std::size_t pieces) {
    constexpr std::size_t once = 16 * max_piece_octets * 4;
    constexpr std::size_t twice = 220 * max_piece_octets * 8;
    return 64 + pieces * once + std::min(pieces, max_pieces_twice) * twice;
  }

  void add_piece(std::string_view piece) {
    add(piece, Encoding::plain, Encoding::plain);
    // A secret that holds what looks like an escape reads otherwise in the decoded view.
    if (find_escape(piece) != std::string_view::npos) {
      Unescaped unescaped = unescape(piece);
      add(unescaped.text, Encoding::plain, Encoding::plain);
      wipe(unescaped.text.data(), unescaped.text.size());
    }
    const bool twice = pieces_done_++ < max_pieces_twice;
    for (const Spelling& inner : outer_spellings) {
      append_encoded(inner_.fresh(), piece, inner);
      add(inner_.text(), inner.encoding, Encoding::plain);
      if (twice) add_again(inner.encoding);
    }
    // "\x41\x42" and "0x41, 0x42".
    for (const std::string_view separator : {"x", "0x"}) {
      std::string& text = inner_.fresh();
      for (std::size_t i = 0; i < piece.size(); ++i) {
        if (i > 0) text += separator;
        append_encoded(text, piece.substr(i, 1), {Encoding::hex, 0, false});
      }
      add(text, Encoding::hex, Encoding::plain);
    }
    for (const Spelling& inner : inner_only) {
      if (!twice) break;
      append_encoded(inner_.fresh(), piece, inner);
      add_again(inner.encoding);
    }
  }
  void add_again(Encoding inner) {
    for (const Spelling& outer : outer_spellings) {
      if (outer.encoding == inner && (inner == Encoding::reversed || inner == Encoding::rot13)) continue;
      append_encoded(outer_.fresh(), inner_.text(), outer);
      add(outer_.text(), inner, outer.encoding);
    }
  }

  void add(std::string_view text, Encoding inner, Encoding outer) {
    std::string& key = key_.fresh();
    SkeletonState start;
    append_skeleton_plainly(key, text, start);
    KnownSecrets::State::Pattern pattern;
    const auto next_kept = [&](std::size_t from) {
      while (from < text.size() && !is_kept(from > 0 ? text[from - 1] : '\0', text[from])) ++from;
      return from;
    };
    const std::size_t lead = next_kept(0);
    if (key.size() > min_key_octets && !is_kept('\\', text[lead])) {
      pattern.first = key[0];
      key.erase(0, 1);
    }
    pattern.lead = static_cast<std::uint32_t>(lead);
    std::size_t end = text.size();
    while (end > lead && !is_kept(end > 1 ? text[end - 2] : '\0', text[end - 1])) --end;
    pattern.tail = static_cast<std::uint32_t>(text.size() - end);
    const bool number = std::ranges::all_of(key, [](char c) { return c >= '0' && c <= '9'; });
    const bool same = std::ranges::all_of(key, [&](char c) { return c == key[0]; });
    const bool folds = key.size() >= min_key_octets && !same && !(number && key.size() <= max_plain_digits) &&
                       key.find(barrier) == std::string::npos;
    const std::string_view sought = folds ? std::string_view(key) : text;
    if (!folds && text.size() < min_key_octets) return;
    if (!seen_.insert(std::hash<std::string_view>{}(sought)).second) return;
    pattern.text = static_cast<std::uint32_t>(all_.text().size());
    pattern.size = static_cast<std::uint32_t>(text.size());
    all_.text() += text;
    pattern.key = pattern.text;
    pattern.key_size = pattern.size;
    if (folds) {
      pattern.key = static_cast<std::uint32_t>(all_.text().size());
      pattern.key_size = static_cast<std::uint32_t>(key.size());
      all_.text() += key;
    }
    pattern.secret = secret_;
    pattern.inner = inner;
    pattern.outer = outer;
    (folds ? state_.folded : state_.exact).push_back(pattern);
  }

  /// Telling: not a piece of an ordinary word or number, so that prose and identifiers do not add up to a secret.
  static bool is_telling(std::string_view gram) {
    std::size_t lower = 0;
    std::size_t upper = 0;
    std::size_t digits = 0;
    for (const char c : gram) {
      lower += c >= 'a' && c <= 'z' ? 1U : 0U;
      upper += c >= 'A' && c <= 'Z' ? 1U : 0U;
      digits += c >= '0' && c <= '9' ? 1U : 0U;
    }
    std::unordered_set<char> different(gram.begin(), gram.end());
    // "Secret" and "SECRET" are words, "seCret" is none.
    const bool word = digits == 0 && (upper == 0 || lower == 0 || (upper == 1 && gram[0] >= 'A' && gram[0] <= 'Z'));
    return different.size() >= 4 && !word && digits < gram.size();
  }
  void add_grams(std::string_view value) {
    std::string& kept = inner_.fresh();
    for (std::size_t i = 0; i < value.size(); ++i)
      if (is_kept('\0', value[i])) kept += value[i];
    std::vector<KnownSecrets::State::Gram6> grams;
    for (std::size_t at = 0; at + gram6_octets <= kept.size(); ++at) {
      const std::string_view gram = std::string_view(kept).substr(at, gram6_octets);
      if (!is_telling(gram)) continue;
      std::array<char, gram6_octets> lower{};
      std::ranges::transform(gram, lower.begin(),
                             [](char c) { return static_cast<char>(static_cast<unsigned char>(c) | 0x20U); });
      grams.push_back({KnownSecrets::State::gram6_at(lower.data()), secret_, static_cast<std::uint32_t>(grams.size())});
    }
    const bool enough = grams.size() >= min_telling_grams;
    state_.gram6_count.push_back(enough ? static_cast<std::uint32_t>(grams.size()) : 0);
    if (enough) state_.grams6.insert(state_.grams6.end(), grams.begin(), grams.end());
  }

  KnownSecrets::State& state_;
  Buffer all_;
  Buffer inner_{max_secret_octets + 16};
  Buffer outer_{max_piece_octets * 16};
  Buffer key_{max_secret_octets + 16};
  std::size_t pieces_done_ = 0;
  std::uint32_t secret_ = 0;
  std::unordered_set<std::size_t> seen_;
};

}  // namespace

bool KnownSecrets::State::widen(const Pattern& pattern, std::string_view text, std::size_t& begin,
                                std::size_t& end) const {
  if (pattern.first != '\0') {
    const auto is_first = [&](char c) {
      return static_cast<char>(static_cast<unsigned char>(c) | 0x20U) == pattern.first;
    };
    std::size_t at = begin;
    while (at > 0 && !is_kept('\0', text[at - 1])) --at;
    if (at == 0 || !is_first(text[at - 1])) return false;
    begin = at - 1;
  }
  const std::string_view written = text_of(pattern);
  for (std::size_t i = pattern.lead; i > 0 && begin > 0 && text[begin - 1] == written[i - 1]; --i) --begin;
  for (std::size_t i = written.size() - pattern.tail;
       i < written.size() && end < text.size() && text[end] == written[i]; ++i)
    ++end;
  return true;
}

std::vector<std::uint32_t> KnownSecrets::State::places_of(std::string_view text) {
  std::vector<std::uint32_t> places;
  std::size_t gap = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!is_kept(at > 0 ? text[at - 1] : '\0', text[at])) {
      ++gap;
      continue;
    }
    if (gap > max_gap_octets) places.push_back(static_cast<std::uint32_t>(at));  // the barrier
    gap = 0;
    places.push_back(static_cast<std::uint32_t>(at));
  }
  return places;
}

KnownSecrets::KnownSecrets(std::unique_ptr<State> state) : state_(std::move(state)) {}
KnownSecrets::~KnownSecrets() = default;

Result<std::shared_ptr<const KnownSecrets>> KnownSecrets::create(std::span<const KnownSecret> secrets) {
  if (secrets.size() > max_secrets)
    return fail(ErrorKind::invalid_argument, fmt::format("more than {} secrets", max_secrets));
  std::size_t pieces = 0;
  for (const KnownSecret& secret : secrets) {
    if (secret.value.size() > max_secret_octets)
      return fail(ErrorKind::invalid_argument,
                  fmt::format("the secret '{}' is longer than {} octets", secret.name, max_secret_octets));
    // The line end of a file is no part of the secret, and would keep it from being found in a header.
    if (trim(secret.value).size() < min_secret_octets)
      return fail(ErrorKind::invalid_argument,
                  fmt::format("the secret '{}' is shorter than {} characters, so it cannot be told from other text",
                              secret.name, min_secret_octets),
                  "use a longer one");
    pieces += secret.value.size() / (max_piece_octets - piece_overlap_octets) + 1;
  }
  auto state = std::make_unique<State>();
  Builder builder(*state, pieces);
  for (const KnownSecret& secret : secrets) {
    const auto index = static_cast<std::uint32_t>(state->names.size());
    const bool canary = secret.kind == KnownSecret::Kind::canary;
    state->any_canary = state->any_canary || canary;
    state->names.push_back((canary ? "canary:" : "known-secret:") + std::string(secret.name));
    builder.add_secret(trim(secret.value), index);
  }
  builder.finish();
  return std::make_shared<const KnownSecrets>(std::move(state));
}

}  // namespace bot_bottle::dlp
