// What a word without quotes means, read strictly (spec 01), and quantities with units.
// Hostile input: scalars of a repository's agent file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/manifest/document.hpp"

namespace bot_bottle::manifest {

/// YAML's yes, on, Y, True …: a boolean to some readers, text to others.
bool is_boolean_lookalike(std::string_view word);

/// Fills kind, text, look and the value of a YAML plain scalar; spot is left alone.
void classify_plain(std::string_view word, Node& node);

/// "4GiB", "512MiB", "1.5GiB", "100MB", "1024B" → bytes; nothing when not of this form, zero or too large.
std::optional<std::uint64_t> parse_size(std::string_view text);
/// "2h", "90m", "1h30m", "45s", "1d" → milliseconds.
std::optional<std::int64_t> parse_duration(std::string_view text);

bool is_name(std::string_view text);           // [a-z][a-z0-9-]*, at most 63
bool is_variable_name(std::string_view text);  // [A-Za-z_][A-Za-z0-9_]*
bool has_control_characters(std::string_view text);

}  // namespace bot_bottle::manifest
