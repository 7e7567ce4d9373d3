// What a canary's sighting does: an event, and with `on_canary: freeze` the end of all traffic until the operator lifts
// it. Hostile input: the texts that are looked through. Guarded by integration/egress/canaries and the escape suite.
#pragma once

#include <string>
#include <string_view>

#include "sidecar/egress/house.hpp"
#include "sidecar/egress/refusal.hpp"

namespace bot_bottle::egress {

inline constexpr std::string_view frozen_reason = "frozen";

/// The rule ("canary:netrc-password") when `text` holds a canary, in any disguise that known secrets are found in; else
/// empty. For texts that no other scan has seen: names and heads that were refused before it was their turn.
std::string find_canary(const House& house, std::string_view text);

/// Writes `event` as the sighting of a canary (event.rule names it) and freezes the bottle when it is to.
void raise_canary(House& house, Event event);

/// What a frozen bottle's requests get.
Refusal frozen_refusal();

}  // namespace bot_bottle::egress
