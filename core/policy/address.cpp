// Which addresses a request may not reach (spec 04 step 5). Hostile input: what a resolver answered.
#include <array>

#include "core/policy/decide.hpp"

namespace bot_bottle::policy {
namespace {

struct Block4 {
  std::uint32_t base;
  unsigned bits;
};
constexpr std::uint32_t v4(unsigned a, unsigned b, unsigned c, unsigned d) {
  return (a << 24U) | (b << 16U) | (c << 8U) | d;
}

// The IANA IPv4 special-purpose registry, multicast, and the one metadata service that lives on a public address.
constexpr std::array<Block4, 16> forbidden4{{
    {v4(0, 0, 0, 0), 8},         // this network; 0.0.0.0 reaches the host itself on Linux
    {v4(10, 0, 0, 0), 8},        // private
    {v4(100, 64, 0, 0), 10},     // CGNAT; 100.100.100.200 is a metadata service
    {v4(127, 0, 0, 0), 8},       // loopback
    {v4(168, 63, 129, 16), 32},  // Azure's wire server
    {v4(169, 254, 0, 0), 16},    // link-local; 169.254.169.254 and .170.2 are metadata services
    {v4(172, 16, 0, 0), 12},     // private
    {v4(192, 0, 0, 0), 24},      // protocol assignments; 192.0.0.192 is a metadata service
    {v4(192, 0, 2, 0), 24},      // documentation
    {v4(192, 88, 99, 0), 24},    // 6to4 relays, deprecated
    {v4(192, 168, 0, 0), 16},    // private
    {v4(198, 18, 0, 0), 15},     // benchmark
    {v4(198, 51, 100, 0), 24},   // documentation
    {v4(203, 0, 113, 0), 24},    // documentation
    {v4(224, 0, 0, 0), 4},       // multicast
    {v4(240, 0, 0, 0), 4},       // reserved, broadcast
}};

bool is_forbidden4(std::uint32_t address) {
  for (const Block4& block : forbidden4)
    if (((address ^ block.base) >> (32U - block.bits)) == 0) return true;
  return false;
}

std::uint32_t read4(std::span<const std::uint8_t> octets) {
  return v4(octets[0], octets[1], octets[2], octets[3]);
}

template <std::size_t size>
bool begins_with(std::span<const std::uint8_t> address, const std::array<std::uint8_t, size>& prefix) {
  for (std::size_t i = 0; i < size; ++i)
    if (address[i] != prefix[i]) return false;
  return true;
}

}  // namespace

bool is_forbidden_address(std::span<const std::uint8_t> address) {
  if (address.size() == 4) return is_forbidden4(read4(address));
  if (address.size() != 16) return true;
  // Addresses that carry an IPv4 address are judged by it (A11, A17).
  static constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};  // RFC 4291 §2.5.5.2
  static constexpr std::array<std::uint8_t, 12> nat64{0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0};  // RFC 6052
  if (begins_with(address, mapped) || begins_with(address, nat64)) return is_forbidden4(read4(address.subspan(12)));
  // What is not global unicast (2000::/3): unspecified, loopback, IPv4-compatible, the local NAT64 prefix
  // 64:ff9b:1::/48 (where in it the IPv4 address stands only that network knows), discard-only, unique-local,
  // link-local, site-local, multicast.
  if ((address[0] & 0xe0U) != 0x20U) return true;
  if (begins_with(address, std::array<std::uint8_t, 2>{0x20, 0x02}))
    return is_forbidden4(read4(address.subspan(2)));  // 6to4
  // 2001::/23 protocol assignments, Teredo (2001::/32) among them: tunnels to an IPv4 address of the sender's choice.
  if (address[0] == 0x20 && address[1] == 0x01 && (address[2] & 0xfeU) == 0) return true;
  if (begins_with(address, std::array<std::uint8_t, 4>{0x20, 0x01, 0x0d, 0xb8})) return true;  // documentation
  return address[0] == 0x3f && address[1] == 0xff && (address[2] & 0xf0U) == 0;  // documentation, RFC 9637
}

}  // namespace bot_bottle::policy
