#include "core/policy/credential_reach.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/policy/asked_route.hpp"

namespace bot_bottle::policy {
namespace {

const Route* find_route(const Egress& egress, const std::string& host) {
  const auto found = std::ranges::find(egress.routes, host, &Route::host);
  return found == egress.routes.end() ? nullptr : &*found;
}

std::string pin_of(const Egress& egress, const std::string& host) {
  const auto found = egress.hosts.find(host);
  if (found == egress.hosts.end()) return "the address that its name has";
  return found->second.port ? fmt::format("{} port {}", found->second.address, *found->second.port)
                            : found->second.address;
}

/// Only what is matched, so that `covers` compares that and nothing else.
Route only_matches(const Route& route) {
  Route bare;
  bare.host = route.host;
  bare.matches = route.matches;
  bare.refuse_all = route.refuse_all;
  return bare;
}

/// All that goes along.
std::string names_of(const Auth& auth) {
  return auth.account_ref.empty() ? auth.token_ref : auth.token_ref + " and " + auth.account_ref;
}

void compare(const Egress& before, const Egress& after, const Route& old, const Route& now,
             std::vector<std::string>& lines) {
  const std::string token = names_of(*now.auth);
  if (pin_of(before, now.host) != pin_of(after, now.host))
    lines.push_back(fmt::format("{} for {} goes to {} instead of {}", token, now.host, pin_of(after, now.host),
                                pin_of(before, now.host)));
  if (now.plain && !old.plain) lines.push_back(fmt::format("{} may go to {} in the clear (plain)", token, now.host));
  for (const std::uint16_t port : now.ports)
    if (std::ranges::find(old.ports, port) == old.ports.end())
      lines.push_back(fmt::format("{} goes to port {} of {}", token, port, now.host));
  if (now.git_fetch && !old.git_fetch)
    lines.push_back(fmt::format("{} is used for git fetch from {}", token, now.host));
  if (!now.refuse_all && !covers(only_matches(old), only_matches(now)))
    lines.push_back(fmt::format("{} goes along with more requests to {}", token, now.host));
}

}  // namespace

std::vector<std::string> credential_widening(const Egress& before, const Egress& after) {
  std::vector<std::string> lines;
  for (const Route& now : after.routes) {
    if (!now.auth) continue;
    const Route* old = find_route(before, now.host);
    if (old == nullptr || !old->auth)
      lines.push_back(fmt::format("{} is sent to {}", names_of(*now.auth), now.host));
    else if (*old->auth != *now.auth)
      lines.push_back(fmt::format("{} is sent to {} in another way, or instead of {}", names_of(*now.auth), now.host,
                                  names_of(*old->auth)));
    else
      compare(before, after, *old, now, lines);
  }
  return lines;
}

}  // namespace bot_bottle::policy
