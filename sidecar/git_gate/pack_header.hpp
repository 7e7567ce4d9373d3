// The first twelve octets of a pack (gitformat-pack): what it says it holds. git reads the rest, bounded by what is
// found here. Hostile input: every octet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace bot_bottle::git_gate {

inline constexpr std::size_t pack_header_size = 12;

struct PackHeader {
  std::uint32_t version = 0;  // 2 or 3
  std::uint32_t objects = 0;
};

/// Nothing: not a pack of a known version, or fewer than twelve octets.
std::optional<PackHeader> parse_pack_header(std::string_view bytes);

/// An object costs at least two octets of a pack (a type and an empty deflate stream costs more); a header that
/// promises more objects than the pack can hold makes index-pack reserve memory for them (attack: a 32-octet pack that
/// asks for gigabytes). Also bounded in itself.
inline constexpr std::uint32_t max_pack_objects = 10'000'000;
bool is_plausible(const PackHeader& header, std::uint64_t pack_octets);

}  // namespace bot_bottle::git_gate
