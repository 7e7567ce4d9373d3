// Small text helpers; everything is bytes, ASCII case only, never the locale.
#pragma once

#include <concepts>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bot_bottle {

std::string to_lower(std::string_view text);
std::string to_upper(std::string_view text);
bool equals_ignoring_case(std::string_view a, std::string_view b);
/// Space, tab, CR and LF off both ends.
std::string_view trim(std::string_view text);
/// The parts are views of `text`, which must live as long as they do.
std::vector<std::string_view> split(std::string_view text, char separator);
/// A temporary string is gone before its parts are read.
template <std::same_as<std::string> T>
std::vector<std::string_view> split(T&& text, char separator) = delete;
std::string join(std::span<const std::string> parts, std::string_view separator);
bool is_valid_utf8(std::string_view text);
bool starts_with_ignoring_case(std::string_view text, std::string_view prefix);

/// The candidate nearest to `word` by edit distance (transpositions count one), when it is near
/// enough to be meant: at most a third of the word, at least one.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates);

std::string hex_encode(std::string_view bytes);
std::string base64_encode(std::string_view bytes);
/// Standard alphabet, padding required; nothing on bad input.
std::optional<std::string> base64_decode(std::string_view text);

/// SHA-256 as 64 lower-case hex digits (FIPS 180-4, by OpenSSL).
std::string sha256_hex(std::string_view bytes);

}  // namespace bot_bottle
