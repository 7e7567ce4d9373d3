#include "sidecar/egress/names.hpp"

#include "core/base/text.hpp"

namespace bot_bottle::egress {

Result<Authority> parse_authority(std::string_view text, std::uint16_t default_port) {
  Authority authority;
  authority.port = default_port;
  std::string_view host = text;
  // The last colon outside brackets; a bare IPv6 literal has several and is refused as a name below.
  const std::size_t colon = text.rfind(':');
  if (colon != std::string_view::npos && text.find(']', colon) == std::string_view::npos) {
    host = text.substr(0, colon);
    const std::string_view digits = text.substr(colon + 1);
    unsigned value = 0;
    if (digits.empty() || digits.size() > 5) return fail(ErrorKind::invalid_argument, "the port is not a number");
    for (const char c : digits) {
      if (c < '0' || c > '9') return fail(ErrorKind::invalid_argument, "the port is not a number");
      value = value * 10 + static_cast<unsigned>(c - '0');
    }
    if (value == 0 || value > 65535) return fail(ErrorKind::invalid_argument, "the port is not between 1 and 65535");
    authority.port = static_cast<std::uint16_t>(value);
  }
  if (authority.port == 0) return fail(ErrorKind::invalid_argument, "the port is missing");
  BB_TRY(authority.host, policy::normalise_host(host));
  return authority;
}

Result<AbsoluteTarget> parse_absolute_target(std::string_view target) {
  AbsoluteTarget result;
  if (starts_with_ignoring_case(target, "http://")) {
    target.remove_prefix(7);
  } else if (starts_with_ignoring_case(target, "https://")) {
    target.remove_prefix(8);
    result.scheme = policy::Scheme::https;
  } else {
    return fail(ErrorKind::invalid_argument, "the target is not an http or https URL");
  }
  const std::size_t end = target.find_first_of("/?#");
  result.authority = target.substr(0, end);
  if (end == std::string_view::npos) {
    result.path_and_query = "/";
  } else {
    if (target[end] != '/') result.path_and_query = "/";
    result.path_and_query.append(target.substr(end));
  }
  return result;
}

std::uint16_t default_port_of(policy::Scheme scheme) {
  return scheme == policy::Scheme::https ? 443 : 80;
}

std::string host_field_of(const Authority& authority, policy::Scheme scheme) {
  if (authority.port == default_port_of(scheme)) return authority.host;
  return authority.host + ":" + std::to_string(authority.port);
}

}  // namespace bot_bottle::egress
