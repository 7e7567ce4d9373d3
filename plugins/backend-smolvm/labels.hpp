// What smolvm from 1.8 on keeps with a machine for us.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/json.hpp"
#include "plugins/backend-smolvm/machine.hpp"

namespace bot_bottle::backend_smolvm {

inline constexpr const char* label_managed = "bot-bottle.managed";
inline constexpr const char* label_slug = "bot-bottle.slug";
inline constexpr const char* label_state = "bot-bottle.state";
inline constexpr const char* label_version = "bot-bottle.version";

/// In a record: the machine was to be made with labels, so that one of its name without ours is somebody else's.
inline constexpr const char* record_labels = "labels";

/// In a record: no machine of this name was there, and we went on to make ours.
inline constexpr const char* record_made = "made";

/// `lost`: we made it with a label, and it has none of ours any more. It may be ours and run.
enum class Owner : std::uint8_t { ours, lost, other };

inline Owner owner_of(const MachineStatus& machine, const json::object& record, const std::string& state_dir) {
  if (!get_bool(record, record_labels, false) || get_string(machine.labels, label_state) == state_dir)
    return Owner::ours;
  return get_bool(record, record_made, false) ? Owner::lost : Owner::other;
}

}  // namespace bot_bottle::backend_smolvm
