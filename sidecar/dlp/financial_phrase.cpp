// BIP-39 seed phrases: the list of words, and what is made of it.
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <span>

#include "sidecar/dlp/financial_parts.hpp"

namespace bot_bottle::dlp {
namespace {

constexpr std::array<std::string_view, 2048> words{
#include "sidecar/dlp/bip39_words.inc"
};

constexpr std::size_t most_words = 24;

/// A word as a number: its letters in lower case, the first the lowest octet. No two of the list begin with the same
/// four letters (BIP-39).
constexpr std::uint64_t packed(std::string_view word) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < word.size(); ++i)
    value |= static_cast<std::uint64_t>(static_cast<unsigned char>(word[i]) | 0x20U) << (8 * i);
  return value;
}
constexpr std::size_t word_slots = 8192;
constexpr std::size_t slot_of(std::uint64_t word) {
  return (static_cast<std::uint32_t>(word) * 0x9e3779b1U) >> 19U;
}
struct WordTable {
  std::array<std::uint64_t, words.size()> packed_words{};
  std::array<std::uint16_t, word_slots> slots{};  // place in the list and one; 0: nothing
};
constexpr WordTable word_table = [] {
  WordTable table;
  for (std::size_t i = 0; i < words.size(); ++i) {
    table.packed_words[i] = packed(words[i]);
    std::size_t slot = slot_of(table.packed_words[i]);
    while (table.slots[slot] != 0) slot = (slot + 1) % word_slots;
    table.slots[slot] = static_cast<std::uint16_t>(i + 1);
  }
  return table;
}();
/// A bit for each word of the list: nearly every other word ends here.
constexpr std::size_t word_bits = 65536;
constexpr std::size_t bit_of(std::uint64_t word) {
  return (word * 0x9e3779b97f4a7c15U) >> 48U;
}
constexpr auto word_bitmap = [] {
  std::array<std::uint64_t, word_bits / 64> bitmap{};
  for (const std::string_view word : words) {
    const std::size_t bit = bit_of(packed(word));
    bitmap[bit / 64] |= std::uint64_t{1} << (bit % 64);
  }
  return bitmap;
}();
int place_of(std::uint64_t word) {
  for (std::size_t slot = slot_of(word); word_table.slots[slot] != 0; slot = (slot + 1) % word_slots)
    if (word_table.packed_words[word_table.slots[slot] - 1U] == word) return word_table.slots[slot] - 1;
  return -1;
}
/// Of three to eight letters.
inline std::uint64_t packed_at(std::string_view text, std::size_t begin, std::size_t size) {
  if (std::endian::native != std::endian::little || begin + sizeof(std::uint64_t) > text.size())
    return packed(text.substr(begin, size));
  std::uint64_t value = 0;
  std::memcpy(&value, text.data() + begin, sizeof value);
  return (value | 0x2020202020202020U) & (~std::uint64_t{0} >> (64 - 8 * size));
}

struct Word {
  std::size_t begin;
  std::size_t end;
  int value;
};

/// The word around or behind `at`.
std::optional<Word> word_at(std::string_view text, std::size_t at) {
  std::size_t begin = at;
  while (begin < text.size() && !is_letter(text[begin]) && begin - at <= max_separator) ++begin;
  if (begin >= text.size() || !is_letter(text[begin])) return std::nullopt;
  while (begin > 0 && is_letter(text[begin - 1]) && at - std::min(at, begin) < 9) --begin;
  std::size_t end = begin;
  while (end < text.size() && is_letter(text[end]) && end - begin < 9) ++end;
  if (end - begin < 3 || end - begin > 8) return std::nullopt;
  const int value = place_of(packed_at(text, begin, end - begin));
  if (value < 0) return std::nullopt;
  return Word{begin, end, value};
}

unsigned char first_of_sha256(const unsigned char* octets, std::size_t size) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  ::SHA256(octets, size, digest.data());
  return digest[0];
}

bool has_checksum(std::span<const Word> run, std::size_t first, std::size_t count) {
  std::array<unsigned char, 33> octets{};  // 24 words: 256 bits and 8 of checksum
  std::size_t bit = 0;
  bool ascending = true;  // a piece of the list itself
  for (std::size_t i = first; i < first + count; ++i) {
    ascending = ascending && (i == first || run[i].value > run[i - 1].value);
    for (int place = 10; place >= 0; --place, ++bit)
      if (((static_cast<unsigned>(run[i].value) >> static_cast<unsigned>(place)) & 1U) != 0)
        octets[bit / 8] = static_cast<unsigned char>(octets[bit / 8] | (0x80U >> (bit % 8)));
  }
  if (ascending) return false;
  const std::size_t entropy_octets = count * 4 / 3;
  const unsigned wanted = 0xff00U >> (count / 3) & 0xffU;
  return (first_of_sha256(octets.data(), entropy_octets) & wanted) == (octets[entropy_octets] & wanted);
}

}  // namespace

std::optional<Range> seed_at(std::string_view text, std::size_t at) {
  const auto middle = word_at(text, at);
  if (!middle) return std::nullopt;
  std::array<Word, 2 * most_words> all{};
  std::size_t begin = most_words - 1;
  std::size_t end = most_words;
  all.at(begin) = *middle;
  while (begin > 0 && all.at(begin).begin > 0) {
    const std::size_t next = all.at(begin).begin;
    std::size_t stop = next;
    while (stop > 0 && !is_letter(text[stop - 1]) && next - stop <= max_separator) --stop;
    if (stop == 0 || !is_letter(text[stop - 1]) || next - stop > max_separator) break;
    const auto word = word_at(text, stop - 1);
    if (!word || word->end != stop) break;
    all.at(--begin) = *word;
  }
  while (end < all.size()) {
    const std::size_t last = all.at(end - 1).end;
    std::size_t next = last;
    while (next < text.size() && !is_letter(text[next]) && next - last <= max_separator) ++next;
    if (next >= text.size() || next - last > max_separator) break;
    const auto word = word_at(text, next);
    if (!word || word->begin != next) break;
    all.at(end++) = *word;
  }
  const std::span<const Word> run(all.data() + begin, end - begin);
  for (std::size_t count = 12; count <= most_words; count += 3)
    for (std::size_t first = 0; first + count <= run.size(); ++first)
      // Only what this sample point is the first to see: hostile text is judged once, not at each of them.
      if (run[first].begin <= at && run[first].begin + word_step > at && has_checksum(run, first, count))
        return Range{run[first].begin, run[first + count - 1].end, "bip39-seed-phrase"};
  return std::nullopt;
}
bool may_be_phrase(std::string_view text, std::size_t at, std::uint64_t letters) {
  // The first three words that begin here or later, by the bits of their first letters.
  const std::uint64_t starts = letters & ~(letters << 1U) & (~std::uint64_t{0} << letters_before);
  const std::uint64_t second = starts & (starts - 1);
  const std::uint64_t third = second & (second - 1);
  const std::uint64_t three = starts ^ (third & (third - 1));
  // Of three to eight letters. A word that the 64 octets cut off may be longer: it is taken for one that fits.
  std::uint64_t nine = letters & (letters >> 1U);
  nine &= nine >> 2U;
  nine &= nine >> 4U;
  nine &= letters >> 8U;
  const std::uint64_t fit = (letters >> 1U) & (letters >> 2U) & ~nine;
  if (third == 0 || (three & ~fit & ~(~std::uint64_t{0} << 62U)) != 0) return false;
  if (at + 64 + sizeof(std::uint64_t) > text.size()) return true;
  for (const std::uint64_t start : {starts, second, third}) {
    const auto bit = static_cast<unsigned>(std::countr_zero(start));
    const auto size = static_cast<unsigned>(std::countr_one(letters >> bit));
    if (bit + size >= 64) return true;
    const std::size_t word = bit_of(packed_at(text, at + bit - letters_before, size));
    if (((word_bitmap[word / 64] >> (word % 64)) & 1U) == 0) return false;
  }
  return true;
}

int bip39_word(std::string_view lower_case) {
  return lower_case.size() < 3 || lower_case.size() > 8 ? -1 : place_of(packed(lower_case));
}

}  // namespace bot_bottle::dlp
