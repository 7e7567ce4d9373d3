// What smolvm from 1.8 on keeps with a machine for us.
#pragma once

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

inline bool is_ours(const MachineStatus& machine, const json::object& record, const std::string& state_dir) {
  return !get_bool(record, record_labels, false) || get_string(machine.labels, label_state) == state_dir;
}

}  // namespace bot_bottle::backend_smolvm
