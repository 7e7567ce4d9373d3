#include "sidecar/egress/canaries.hpp"

namespace bot_bottle::egress {

std::string find_canary(const House& house, std::string_view text) {
  if (!house.has_canaries || !house.guards.is_on(Guard::dlp)) return {};
  constexpr dlp::Detectors known_only{.token_patterns = false, .known_secrets = true};
  auto finding = dlp::scan(*house.rules, *house.known_secrets, known_only, text);
  return finding && finding->is_canary() ? std::move(finding->rule) : std::string();
}

void raise_canary(House& house, Event event) {
  event.kind = "dlp";
  event.level = Level::block;
  event.event = "canary_seen";
  house.log.write(event);
  if (!house.freezes_on_canary || house.frozen()) return;
  house.frozen_by = event.rule;
  // The operator's side acts on this one: a freezer, or a person (docs/internals.md).
  Event frozen;
  frozen.kind = "sidecar";
  frozen.level = Level::block;
  frozen.event = "frozen";
  frozen.rule = event.rule;
  frozen.reason = "no traffic until the operator lifts it or ends the bottle";
  house.log.write(frozen);
  house.log.flush();
}

Refusal frozen_refusal() {
  return blocked(std::string(frozen_reason), "all traffic of this bottle is stopped; its operator knows why");
}

}  // namespace bot_bottle::egress
