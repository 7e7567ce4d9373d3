// The disguises an agent may put on a secret. Pure functions; their oracle is the decoder of the same name in the test.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bot_bottle::attack {

enum class Padding { keep, drop };
enum class Alphabet { standard, url_safe };

/// Base64 of `text` with `shift` (0 to 2) octets before it, so that the secret sits at another alignment.
std::string base64_at(std::string_view text, std::size_t shift, Alphabet alphabet = Alphabet::standard,
                      Padding padding = Padding::keep);
std::string base32(std::string_view text);
/// Every octet as %XX; `rounds` times.
std::string percent(std::string_view text, int rounds = 1);
/// \u00XX for every octet: ASCII input.
std::string json_escapes(std::string_view text);
/// &#NN; for every octet: ASCII input.
std::string html_entities(std::string_view text);
std::string rot13(std::string_view text);
std::string reversed(std::string_view text);
/// `separator` between the octets.
std::string spaced(std::string_view text, std::string_view separator);
/// Hex with `separator` between the octets.
std::string hex_with(std::string_view text, std::string_view separator);
/// ASCII as the invisible tag characters U+E0020 to U+E007E.
std::string unicode_tags(std::string_view text);
/// ASCII as the full-width forms U+FF01 to U+FF5E.
std::string full_width(std::string_view text);
enum class Wrapper { gzip, zlib, raw };
std::string deflated(std::string_view text, Wrapper wrapper);
/// gzip of `size` zeros, made without ever holding them.
std::string gzip_of_zeros(std::size_t size);
/// `size` octets of text that no rule takes for a secret.
std::string filler(std::size_t size);
/// The three token shapes; built at run time from pieces, so that no scanner flags this program's source.
std::string github_token();
std::string aws_key_id();
std::string slack_token();
/// Letters and digits, for credentials that no rule knows.
std::string random_text(std::size_t size);

}  // namespace bot_bottle::attack
