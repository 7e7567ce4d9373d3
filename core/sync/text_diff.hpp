// Unified diffs of texts. Pure; hostile input: both texts (bounded work, whatever they hold).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bot_bottle::sync {

/// Hunks with `context` lines around, as diff -u writes them, without file headers; empty when equal. Texts that differ
/// too much to be compared in bounded time become one hunk that replaces all of it.
std::string unified_hunks(std::string_view before, std::string_view after, std::size_t context = 3);

/// NUL in the first 8000 bytes, as git decides.
bool is_binary(std::string_view bytes);

}  // namespace bot_bottle::sync
