// What the agent is told when something is refused (spec 04): JSON, never with a secret in it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bot_bottle::egress {

enum class Blame : std::uint8_t {
  policy,    // 403 or 421: "blocked"
  request,   // 400: "bad_request"; the connection ends
  upstream,  // 502, 504: "upstream"
  load,      // 503: "busy"
};

struct Refusal {
  Blame blame = Blame::policy;
  int status = 403;
  std::string reason;   // a word: "host_not_allowed"
  std::string message;  // a sentence for people; may be empty
  // For the log.
  std::string rule;
  std::string where;
  std::string snippet;
  bool propose = false;       // tell the agent which route to ask for
  bool propose_path = false;  // with method and path
  std::uint32_t retry_after_s = 0;
};

Refusal blocked(std::string reason, std::string message = {});
Refusal bad_request(std::string reason, std::string message = {});
Refusal upstream_failed(int status, std::string reason, std::string message);

/// `path` and `message` must be redacted already.
std::string refusal_body(const Refusal& refusal, std::string_view host, std::uint16_t port, std::string_view method,
                         std::string_view path);

}  // namespace bot_bottle::egress
