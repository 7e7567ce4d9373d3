// Foreign tables: the one function that copies them, and what is wrong with them. No other code reads a plugin's table.
#pragma once

#include <bot_bottle/plugin.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace bot_bottle::plugins {

/// No table of any 1.x is as large: such a size is garbage (tests/abi: bad_size_huge).
inline constexpr std::uint32_t max_table_size = 64U << 10;

// Sizes of 1.0 (LP64), which no later table goes below; held by tests/abi/layout_1_0.c.
inline constexpr std::uint32_t entry_size_1_0 = 64;
inline constexpr std::uint32_t backend_size_1_0 = 144;
inline constexpr std::uint32_t provider_size_1_0 = 56;
inline constexpr std::uint32_t freezer_size_1_0 = 56;
inline constexpr std::uint32_t deploy_key_size_1_0 = 40;

/// The bytes that both sides know, zero for the rest: an absent function is a null function.
template <typename Table>
Table normalise(const void* theirs) {
  Table ours{};
  if (theirs == nullptr) return ours;
  std::uint32_t size = 0;
  std::memcpy(&size, theirs, sizeof size);
  std::memcpy(&ours, theirs, std::min<std::size_t>(size, sizeof ours));
  return ours;
}

/// Reads only the first twelve bytes unless they fit. Empty: a good entry, copied to `out`.
std::vector<std::string> entry_faults(const void* theirs, bb_plugin& out);

/// All faults of a table at once ("bot-bottle.backend/1 lacks destroy and launch"). Empty: good, copied to `out`.
std::vector<std::string> table_faults(const void* theirs, bb_backend& out);
std::vector<std::string> table_faults(const void* theirs, bb_provider& out);
std::vector<std::string> table_faults(const void* theirs, bb_freezer& out);
std::vector<std::string> table_faults(const void* theirs, bb_deploy_key& out);

}  // namespace bot_bottle::plugins
