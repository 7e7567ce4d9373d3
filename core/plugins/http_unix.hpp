// HTTP/1.1 over a unix socket: the service "bot-bottle.http-unix/1". One request a connection.
// Hostile input: the answer (an engine's, a daemon's); parsed by Boost.Beast with limits.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "core/base/result.hpp"

namespace bot_bottle::plugins {

struct HttpRequest {
  std::string socket;  // absolute path, at most 107 bytes
  std::string method;
  std::string target;  // origin-form: begins with a slash
  std::map<std::string, std::string> headers;
  std::string body;
  std::chrono::milliseconds timeout{30'000};  // for everything together
  int cancel_fd = -1;
};

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case; repeated ones joined by ", "
  std::string body;                            // at most 4 MiB
};

/// Errors: invalid_argument (a control character in a field), unavailable (nobody listens), timeout, cancelled,
/// internal (the answer is not HTTP, or too large).
Result<HttpResponse> request_over_unix(const HttpRequest& request);

}  // namespace bot_bottle::plugins
