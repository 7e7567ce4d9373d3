// What is ours, written down: tools report neither labels (old ones) nor wires, addresses and owners.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bot_bottle/plugin.hpp"
#include "core/base/json.hpp"

namespace bot_bottle::driven {

/// "bot-bottle-<slug>-<8 hex of the state directory's hash>": unique on the machine, as homes may share slugs; letters,
/// digits and single '-' only, at most 83 characters.
std::string machine_name(const std::string& state_dir);
/// Whether a name is of that form at all: what a tool lists and is not, is never touched.
bool is_machine_name(const std::string& name);

/// `backend/machine.json` of a bottle, mode 0600, replaced atomically. Any object; `name` and `backend` are set.
void save_record(const std::string& state_dir, json::object record);
/// Nothing only where there is none. Throws Failure (failed_precondition) for one that is there and cannot be read: its
/// machine may run.
std::optional<json::object> load_record(const std::string& state_dir);
void forget_record(const std::string& state_dir);

struct RecordedMachine {
  std::string slug;
  std::string state_dir;
  json::object record;
  std::string problem;  // why it cannot be read; `record` is empty then, and its backend is not known
};
/// Every record of `backend` below the root of all states, and every one that cannot be read.
std::vector<RecordedMachine> list_records(const std::string& state_root, const std::string& backend);

}  // namespace bot_bottle::driven
