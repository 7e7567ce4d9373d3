// Secrets → patterns: plain, base64 in its three alignments and two alphabets, hex in both cases with the usual
// separators. Percent encoding is a view of the text (percent.hpp), not a pattern.
#include "sidecar/dlp/known_secrets.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/base/text.hpp"

namespace bot_bottle::dlp {
namespace {

constexpr std::size_t min_secret_octets = 8;  // shorter ones are in every text (spec 04)
constexpr std::size_t max_secret_octets = std::size_t{64} << 10;
constexpr std::size_t max_secrets = 1000;
constexpr std::array<std::string_view, 5> hex_separators{"", ":", "-", " ", "\\x"};

/// The base64 characters that depend on `text` alone when it stands `alignment` octets into a group of three.
void append_base64(std::string& out, std::string_view text, std::size_t alignment, std::string_view alphabet) {
  const std::size_t total_bits = (alignment + text.size()) * 8;
  for (std::size_t digit = (alignment * 8 + 5) / 6; (digit + 1) * 6 <= total_bits; ++digit) {
    unsigned value = 0;
    for (std::size_t bit = digit * 6; bit < digit * 6 + 6; ++bit) {
      const auto octet = static_cast<unsigned char>(text[bit / 8 - alignment]);
      value = (value << 1U) | ((static_cast<unsigned>(octet) >> (7U - bit % 8)) & 1U);
    }
    out += alphabet[value];
  }
}

void append_hex(std::string& out, std::string_view text, std::string_view digits, std::string_view separator) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i > 0) out += separator;
    const auto octet = static_cast<unsigned char>(text[i]);
    out += digits[octet >> 4U];
    out += digits[octet & 15U];
  }
}

}  // namespace

std::string_view name_of(Encoding encoding) {
  static constexpr std::array<std::string_view, 3> names{"plain", "base64", "hex"};
  return names.at(static_cast<std::size_t>(encoding));
}

void KnownSecrets::State::add(std::string_view text, std::uint32_t secret, Encoding encoding, std::string& all) {
  const auto same = [&](const Pattern& pattern) {
    return std::string_view(all).substr(pattern.offset, pattern.size) == text;
  };
  if (std::ranges::any_of(patterns, same)) return;  // most are the same in both base64 alphabets
  patterns.push_back(
      {static_cast<std::uint32_t>(all.size()), static_cast<std::uint32_t>(text.size()), secret, encoding});
  all += text;
  shortest = patterns.size() == 1 ? text.size() : std::min(shortest, text.size());
  longest = std::max(longest, text.size());
}

void KnownSecrets::State::build_index() {
  firsts.assign(256, false);
  pairs.assign(65536 / 64, 0);
  if (patterns.empty()) return;
  stride = shortest - gram_octets + 1;
  std::size_t bits = 16;
  while (bits < 21 && (std::size_t{1} << bits) < patterns.size() * stride * 64) ++bits;
  shift = static_cast<unsigned>(32 - bits);
  bitmap.assign((std::size_t{1} << bits) / 64, 0);
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    const std::string_view text = text_of(patterns[i]);
    for (std::size_t offset = 0; offset < stride; ++offset) {
      const std::uint32_t hash = hash_of(text.data() + offset);
      bitmap[hash >> 6U] |= std::uint64_t{1} << (hash & 63U);
      grams.push_back({hash, static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(offset)});
    }
    const auto first = static_cast<unsigned char>(text[0]);
    const std::size_t pair = (std::size_t{first} << 8U) | static_cast<unsigned char>(text[1]);
    firsts[first] = true;
    pairs[pair >> 6U] |= std::uint64_t{1} << (pair & 63U);
  }
  std::ranges::sort(grams, {}, &Gram::hash);
}

std::size_t KnownSecrets::State::first_gram(std::uint32_t hash) const {
  return static_cast<std::size_t>(std::ranges::lower_bound(grams, hash, {}, &Gram::hash) - grams.begin());
}

std::size_t KnownSecrets::State::open_suffix(std::string_view text) const {
  if (patterns.empty()) return 0;
  for (std::size_t at = text.size() - std::min(text.size(), longest - 1); at < text.size(); ++at) {
    const std::string_view suffix = text.substr(at);
    const auto first = static_cast<unsigned char>(suffix[0]);
    if (!firsts[first]) continue;
    if (suffix.size() > 1) {
      const std::size_t pair = (std::size_t{first} << 8U) | static_cast<unsigned char>(suffix[1]);
      if (((pairs[pair >> 6U] >> (pair & 63U)) & 1U) == 0) continue;
    }
    if (std::ranges::any_of(patterns, [&](const Pattern& pattern) {
          return pattern.size > suffix.size() && text_of(pattern).starts_with(suffix);
        }))
      return suffix.size();
  }
  return 0;
}

KnownSecrets::KnownSecrets(std::unique_ptr<State> state) : state_(std::move(state)) {}
KnownSecrets::~KnownSecrets() = default;

Result<std::shared_ptr<const KnownSecrets>> KnownSecrets::create(std::span<const KnownSecret> secrets) {
  static constexpr std::string_view standard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  static constexpr std::string_view url_safe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  if (secrets.size() > max_secrets)
    return fail(ErrorKind::invalid_argument, fmt::format("more than {} secrets", max_secrets));
  std::size_t room = 1;
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
    room += (secret.value.size() / (max_piece_octets - piece_overlap_octets) + 1) * max_piece_octets * 42;
  }
  auto state = std::make_unique<State>();
  // These hold secrets in passing: sized once, so that no copy is left behind by growth, and wiped.
  std::string all;
  std::string buffer;
  all.reserve(room);
  buffer.reserve(max_piece_octets * 8);
  for (const KnownSecret& secret : secrets) {
    const auto index = static_cast<std::uint32_t>(state->names.size());
    state->names.emplace_back(secret.name);
    const std::string_view value = trim(secret.value);
    const auto add = [&](Encoding encoding) {
      state->add(buffer, index, encoding, all);
      wipe(buffer.data(), buffer.size());
      buffer.clear();
    };
    for (std::size_t begin = 0;; begin += max_piece_octets - piece_overlap_octets) {
      const bool last = begin + max_piece_octets >= value.size();
      if (last) begin = value.size() - std::min(value.size(), max_piece_octets);
      const std::string_view piece = value.substr(begin, max_piece_octets);
      buffer += piece;
      add(Encoding::plain);
      // Names of hosts and fields lose their case on the way; what is left gives the secret away all the same.
      for (const bool upper : {false, true}) {
        for (const char c : piece) {
          const bool changes = upper ? c >= 'a' && c <= 'z' : c >= 'A' && c <= 'Z';
          buffer += changes ? static_cast<char>(c ^ 0x20) : c;
        }
        add(Encoding::plain);
      }
      for (std::size_t alignment = 0; alignment < 3; ++alignment) {
        for (const std::string_view alphabet : {standard, url_safe}) {
          append_base64(buffer, piece, alignment, alphabet);
          add(Encoding::base64);
        }
      }
      for (const std::string_view digits : {"0123456789abcdef", "0123456789ABCDEF"}) {
        for (const std::string_view separator : hex_separators) {
          append_hex(buffer, piece, digits, separator);
          add(Encoding::hex);
        }
      }
      if (last) break;
    }
  }
  state->bytes = SecretBytes(all);
  wipe(all.data(), all.size());
  state->build_index();
  return std::make_shared<const KnownSecrets>(std::move(state));
}

}  // namespace bot_bottle::dlp
