#include "sidecar/egress/refusal.hpp"

#include <fmt/format.h>

#include "sidecar/egress/event_log.hpp"

namespace bot_bottle::egress {
namespace {

constexpr std::size_t max_text = 1024;

void member(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  out.append(out.size() > 1 ? ",\"" : "\"").append(name).append("\":");
  append_json_string(out, value, max_text);
}

}  // namespace

Refusal blocked(std::string reason, std::string message) {
  Refusal refusal;
  refusal.reason = std::move(reason);
  refusal.message = std::move(message);
  return refusal;
}

Refusal bad_request(std::string reason, std::string message) {
  Refusal refusal = blocked(std::move(reason), std::move(message));
  refusal.blame = Blame::request;
  refusal.status = 400;
  return refusal;
}

Refusal upstream_failed(int status, std::string reason, std::string message) {
  Refusal refusal = blocked(std::move(reason), std::move(message));
  refusal.blame = Blame::upstream;
  refusal.status = status;
  return refusal;
}

std::string refusal_body(const Refusal& refusal, std::string_view host, std::uint16_t port, std::string_view method,
                         std::string_view path) {
  std::string out = "{";
  member(out, "error",
         refusal.blame == Blame::policy    ? "blocked"
         : refusal.blame == Blame::request ? "bad_request"
         : refusal.blame == Blame::load    ? "busy"
                                           : "upstream");
  member(out, "by", "egress");
  member(out, "reason", refusal.reason);
  member(out, "message", refusal.message);
  member(out, "host", host);
  if (refusal.blame == Blame::policy) member(out, "hint", "ask with the supervise tool egress-block");
  if (refusal.propose && !host.empty()) {
    out.append(",\"request\":{\"tool\":\"egress-block\",\"route\":{\"host\":");
    append_json_string(out, host, max_text);
    if (port != 443 && port != 0) fmt::format_to(std::back_inserter(out), ",\"ports\":[{}]", port);
    if (refusal.propose_path) {
      out.append(",\"matches\":[{\"methods\":[");
      append_json_string(out, method, max_text);
      out.append("],\"paths\":[{\"type\":\"exact\",\"value\":");
      append_json_string(out, path, max_text);
      out.append("}]}]");
    }
    out.append("}}");
  }
  out.append("}\n");
  return out;
}

}  // namespace bot_bottle::egress
