// A URL as an operator types it for `check`, split and no more: host and target are judged by core/policy.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/policy/decide.hpp"

namespace bot_bottle::cli {

struct Url {
  policy::Scheme scheme = policy::Scheme::https;
  std::string host;
  std::uint16_t port = 443;
  std::string target = "/";
};

/// "https://host:port/path?query", "http://…", or without a scheme (https). User info and fragments are refused.
Result<Url> parse_url(std::string_view text);

}  // namespace bot_bottle::cli
