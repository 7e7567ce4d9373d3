// How large a mirror has grown, and how it is made small again: each fetch and push leaves a pack, and what an upstream
// drops stays behind. git's own gc is off (it would run when it pleases). measure() is quick; repack() blocks: for a
// Job's thread, while nobody else changes the mirror. Readers go on: git looks again where a pack has gone.
#pragma once

#include <cstdint>

#include "core/base/result.hpp"
#include "sidecar/git_gate/workshop.hpp"

namespace bot_bottle::git_gate {

struct MirrorSize {
  std::size_t packs = 0;
  std::uint64_t octets = 0;  // of all files beside the packs, too
};

enum class Repack : std::uint8_t {
  none,
  join,   // small packs become one; costs what they hold
  whole,  // one pack of what the refs reach; the rest goes. Costs the mirror's size
};

[[nodiscard]] MirrorSize measure_mirror(const Workshop& workshop);

/// `settled`: after the last repack, or at the first look.
[[nodiscard]] Repack repack_wanted(const MirrorSize& now, const MirrorSize& settled);

/// Errors: git's words, timeout, cancelled. The mirror is whole in any case.
Result<void> repack_mirror(const Workshop& workshop, Repack kind, int cancel_fd);

}  // namespace bot_bottle::git_gate
