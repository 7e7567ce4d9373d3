#include "sidecar/egress/grants.hpp"

#include "core/base/clock.hpp"

namespace bot_bottle::egress {
namespace {

bool is_late(const Grant& grant, std::uint64_t now_ms) {
  return (grant.until_ms && now_ms >= *grant.until_ms) ||
         (grant.until_wall_ms && bot_bottle::now_ms() >= *grant.until_wall_ms);
}

bool is_over(const Grant& grant, std::uint64_t now_ms) {
  return grant.spent || is_late(grant, now_ms);
}

}  // namespace

std::shared_ptr<Grant> Grants::find(const policy::RequestView& request, std::uint64_t now_ms) const {
  for (const std::shared_ptr<Grant>& grant : all_)
    if (!is_over(*grant, now_ms) && grant->table->decide(request).allowed()) return grant;
  return nullptr;
}

bool Grants::allows_connect(std::string_view host, std::uint16_t port, std::uint64_t now_ms) const {
  for (const std::shared_ptr<Grant>& grant : all_)
    if (!is_over(*grant, now_ms) && grant->table->decide_connect(host, port).allowed()) return true;
  return false;
}

/// Its end is written down first: after a crash it must not be there once more.
bool Grants::spend(Grant& grant) {
  grant.spent = true;
  return !on_spent_ || on_spent_(grant);
}

bool Grants::take_request(Grant& grant, std::uint64_t now_ms) {
  if (is_over(grant, now_ms)) return false;
  if (!grant.requests) return true;
  if (*grant.requests == 0) return false;
  return --*grant.requests > 0 || spend(grant);
}

bool Grants::take_octets(Grant& grant, std::uint64_t octets, std::uint64_t now_ms) {
  // An upload or a WebSocket that began in time must not outlive the approval.
  if (is_late(grant, now_ms)) return false;
  if (!grant.octets) return true;
  if (octets < *grant.octets) {
    *grant.octets -= octets;
    return true;
  }
  const bool fits = octets == *grant.octets;
  grant.octets = 0;
  if (grant.spent) return fits;
  return spend(grant) && fits;
}

}  // namespace bot_bottle::egress
