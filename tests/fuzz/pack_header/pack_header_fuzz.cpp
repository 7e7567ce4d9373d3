// Octets that come as a pack, and content that may be an archive: a header is read or refused, what is plausible could
// be there, and unpacking stays within its bounds whatever the archive says.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "sidecar/git_gate/archive.hpp"
#include "sidecar/git_gate/pack_header.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bot_bottle::git_gate;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto header = parse_pack_header(bytes)) {
    if (size < pack_header_size || !bytes.starts_with("PACK") || header->version < 2 || header->version > 3)
      std::abort();
    if (is_plausible(*header, size) && header->objects > size) std::abort();
  }
  std::uint64_t octets = 0;
  std::uint64_t members = 0;
  Unpacker unpacker([&](const std::string& name, std::string_view content) {
    if (name.empty()) std::abort();
    octets += content.size();
    ++members;
  });
  (void)unpacker.open("x", bytes);
  if (octets > max_unpacked_octets || members > max_members) std::abort();
  return 0;
}
