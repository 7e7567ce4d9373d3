// An IP address with a port, as it is checked and as it is dialled: one value, so that they cannot differ (attack B4).
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace bot_bottle::net {

struct Address {
  sockaddr_storage storage{};

  /// An IPv4 or IPv6 address in inet_pton(3)'s spelling.
  static std::optional<Address> parse(const std::string& text, std::uint16_t port);
  static std::optional<Address> from(const sockaddr* address);
  void set_port(std::uint16_t port);
  /// 4 or 16 octets in network order.
  [[nodiscard]] std::span<const std::uint8_t> octets() const;
  /// "192.0.2.1:443", "[2001:db8::1]:443".
  [[nodiscard]] std::string text() const;
  [[nodiscard]] const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

}  // namespace bot_bottle::net
