#include "sidecar/git_gate/pack_header.hpp"

namespace bot_bottle::git_gate {
namespace {

std::uint32_t number_at(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = (value << 8U) | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

// A type octet and the shortest zlib stream (two of header, two of an empty block, four of checksum).
constexpr std::uint64_t least_object_octets = 9;
constexpr std::uint64_t trailer_octets = 20;

}  // namespace

std::optional<PackHeader> parse_pack_header(std::string_view bytes) {
  if (bytes.size() < pack_header_size || bytes.substr(0, 4) != "PACK") return std::nullopt;
  const PackHeader header{number_at(bytes, 4), number_at(bytes, 8)};
  if (header.version != 2 && header.version != 3) return std::nullopt;
  return header;
}

bool is_plausible(const PackHeader& header, std::uint64_t pack_octets) {
  if (header.objects > max_pack_objects || pack_octets < pack_header_size + trailer_octets) return false;
  return header.objects * least_object_octets <= pack_octets - pack_header_size - trailer_octets;
}

}  // namespace bot_bottle::git_gate
