#include "core/cli/url.hpp"

#include <charconv>

#include "core/base/text.hpp"

namespace bot_bottle::cli {

Result<Url> parse_url(std::string_view text) {
  const auto bad = [text](const std::string& why) {
    return fail(ErrorKind::usage, "'" + std::string(text) + "' " + why, "https://api.example.com/v1/models");
  };
  Url url;
  std::string_view rest = text;
  if (const std::size_t mark = rest.find("://"); mark != std::string_view::npos) {
    const std::string scheme = to_lower(rest.substr(0, mark));
    if (scheme == "http") {
      url.scheme = policy::Scheme::http;
      url.port = 80;
    } else if (scheme != "https") {
      return bad("has a scheme that egress does not speak; https and http are spoken");
    }
    rest.remove_prefix(mark + 3);
  }
  const std::size_t end = rest.find_first_of("/?#");
  std::string_view authority = rest.substr(0, end);
  if (end != std::string_view::npos) {
    url.target = rest.substr(end);
    if (url.target.front() == '?') url.target.insert(url.target.begin(), '/');
    if (url.target.find('#') != std::string::npos) return bad("has a fragment, which is never sent");
  }
  if (authority.find('@') != std::string_view::npos) return bad("has a user name in it, which egress never sends");
  if (authority.empty()) return bad("names no host");
  std::size_t colon = authority.rfind(':');
  if (authority.front() == '[' && (colon == std::string_view::npos || colon < authority.find(']')))
    colon = std::string_view::npos;
  if (colon != std::string_view::npos) {
    const std::string_view digits = authority.substr(colon + 1);
    unsigned int port = 0;
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc() || stop != digits.data() + digits.size() || port == 0 || port > 65535)
      return bad("has no valid port");
    url.port = static_cast<std::uint16_t>(port);
    authority = authority.substr(0, colon);
  }
  if (authority.empty()) return bad("names no host");
  url.host = authority;
  return url;
}

}  // namespace bot_bottle::cli
