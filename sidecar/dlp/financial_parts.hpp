// The parts of `financial`: what a number or a phrase is, where one begins. Internal to sidecar/dlp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "sidecar/dlp/financial.hpp"

namespace bot_bottle::dlp {

/// A phrase is longer (twelve words of three letters, eleven separators), and at a sample point that is the first to
/// see it two more of its words follow: words and separators take four octets or more, so the point stands at the tenth
/// word at the latest.
inline constexpr std::size_t word_step = 36;
inline constexpr std::size_t max_separator = 8;  // `", "`, line ends, numbering, "%20"
inline constexpr std::size_t longest_key = 111;

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
constexpr bool is_letter(char c) {
  return is_upper(c) || (c >= 'a' && c <= 'z');
}
constexpr bool is_word_character(char c) {
  return is_digit(c) || is_letter(c) || c == '_';
}

struct Range {
  std::size_t begin;
  std::size_t end;
  std::string_view rule;
};

/// Digits in one piece, or as they are printed: 4-4-4-4, 4-6-5, 4-6-4 with one kind of separator. It begins at `begin`.
std::optional<Range> card_from(std::string_view text, std::size_t begin);
std::optional<Range> iban_from(std::string_view text, std::size_t begin);
/// A run of letters, digits and "_" that is as long as a key, and around text[at]. `end`: what ends before needs no
/// other look.
std::optional<Range> key_around(std::string_view text, std::size_t at, std::size_t& end);
/// A phrase around text[at] that this sample point is the first to see.
std::optional<Range> seed_at(std::string_view text, std::size_t at);
/// False: one of the first three words that begin at text[at] or behind is no word of the list, so no phrase lies there
/// that this sample point is the first to see. `letters`: which octets are letters, from text[at - letters_before] on.
inline constexpr std::size_t letters_before = 1;
bool may_be_phrase(std::string_view text, std::size_t at, std::uint64_t letters);

}  // namespace bot_bottle::dlp
