// HTTPS requests with libcurl: no redirects, no other scheme, a bounded answer, and the call's cancellation.
#pragma once

#include <bot_bottle/sdk/call.hpp>
#include <string>
#include <vector>

namespace bot_bottle::deploy_key {

struct HttpRequest {
  std::string method;
  std::string url;
  std::vector<std::string> headers;  // may hold the token: wiped by the caller
  std::string body;
  std::string ca_file;  // empty: the system's
};

struct HttpResponse {
  long status = 0;
  std::string body;
};

/// Throws sdk::Error: unavailable (no connection, TLS), timeout, cancelled. Every HTTP status is a result.
HttpResponse send(const sdk::Call& call, const HttpRequest& request);

/// RFC 3986 unreserved characters stay.
std::string percent_encode(std::string_view text);

}  // namespace bot_bottle::deploy_key
