// Who is asked: CONNECT authority, absolute target and Host, read strictly and compared (attack A2).
// Hostile input: all of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/policy/decide.hpp"

namespace bot_bottle::egress {

struct Authority {
  std::string host;  // normalised
  std::uint16_t port = 0;
  friend bool operator==(const Authority&, const Authority&) = default;
};

/// "host" or "host:port". The port is 1 to 5 digits, 1 to 65535 (65537 is not 1, attack A11); user information is
/// refused. `default_port` 0: the port must be given.
Result<Authority> parse_authority(std::string_view text, std::uint16_t default_port);

/// An absolute-form target (RFC 9112 §3.2.2), split: the path and query part starts with '/'.
struct AbsoluteTarget {
  policy::Scheme scheme = policy::Scheme::http;
  std::string_view authority;
  std::string path_and_query;
};
Result<AbsoluteTarget> parse_absolute_target(std::string_view target);

std::uint16_t default_port_of(policy::Scheme scheme);
/// As it stands in Host: the port only when it is not the scheme's.
std::string host_field_of(const Authority& authority, policy::Scheme scheme);

/// A name that the proxy itself answers (`http://_egress.local/…`); never resolved.
inline constexpr std::string_view own_host = "_egress.local";

}  // namespace bot_bottle::egress
