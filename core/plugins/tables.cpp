#include "core/plugins/tables.hpp"

namespace bot_bottle::plugins {
namespace {

struct Slot {
  const char* name;
  bool present;
};

std::vector<std::string> size_faults(const std::string& what, const void* theirs, std::uint32_t smallest) {
  std::uint32_t size = 0;
  std::memcpy(&size, theirs, sizeof size);
  if (size >= smallest && size <= max_table_size) return {};
  return {what + " says it has " + std::to_string(size) + " bytes (" + std::to_string(smallest) + " to " +
          std::to_string(max_table_size) + " are possible): not a table of this ABI"};
}

template <typename Table, typename Slots>
std::vector<std::string> check(const char* id, const void* theirs, std::uint32_t smallest, Table& out,
                               Slots&& required) {
  if (theirs == nullptr) return {std::string("offers no ") + id};
  auto faults = size_faults(id, theirs, smallest);
  if (!faults.empty()) return faults;
  out = normalise<Table>(theirs);
  std::string lacking;
  for (const Slot& slot : required(out)) {
    if (!slot.present) lacking += (lacking.empty() ? "" : ", ") + std::string(slot.name);
  }
  if (!lacking.empty()) faults.push_back(std::string(id) + " lacks " + lacking);
  return faults;
}

#define BB_SLOT(table, name)       \
  Slot {                           \
#name, (table).name != nullptr \
  }

}  // namespace

std::vector<std::string> entry_faults(const void* theirs, bb_plugin& out) {
  auto faults = size_faults("bb_plugin_entry", theirs, entry_size_1_0);
  // These twelve bytes stay where they are in every major; nothing after them does.
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::memcpy(&major, static_cast<const char*>(theirs) + 4, sizeof major);
  std::memcpy(&minor, static_cast<const char*>(theirs) + 8, sizeof minor);
  if (major != BB_ABI_MAJOR) {
    faults.push_back("is made for plugin ABI " + std::to_string(major) + "." + std::to_string(minor) +
                     ", this bot-bottle has " + std::to_string(BB_ABI_MAJOR) + "." + std::to_string(BB_ABI_MINOR));
  }
  if (!faults.empty()) return faults;
  out = normalise<bb_plugin>(theirs);
  std::string lacking;
  for (const Slot& slot :
       {BB_SLOT(out, name), BB_SLOT(out, version), BB_SLOT(out, init), BB_SLOT(out, get_interface)}) {
    if (!slot.present) lacking += (lacking.empty() ? "" : ", ") + std::string(slot.name);
  }
  if (!lacking.empty()) faults.push_back("bb_plugin_entry lacks " + lacking);
  return faults;
}

std::vector<std::string> table_faults(const void* theirs, bb_backend& out) {
  return check(BB_INTERFACE_BACKEND, theirs, backend_size_1_0, out, [](const bb_backend& t) {
    return std::vector<Slot>{BB_SLOT(t, create),   BB_SLOT(t, destroy),       BB_SLOT(t, probe),
                             BB_SLOT(t, plan),     BB_SLOT(t, start_sidecar), BB_SLOT(t, launch),
                             BB_SLOT(t, exec),     BB_SLOT(t, attach_argv),   BB_SLOT(t, copy_in),
                             BB_SLOT(t, copy_out), BB_SLOT(t, stop),          BB_SLOT(t, remove),
                             BB_SLOT(t, enumerate)};
  });
}

std::vector<std::string> table_faults(const void* theirs, bb_provider& out) {
  return check(BB_INTERFACE_PROVIDER, theirs, provider_size_1_0, out, [](const bb_provider& t) {
    return std::vector<Slot>{BB_SLOT(t, create), BB_SLOT(t, destroy), BB_SLOT(t, describe), BB_SLOT(t, plan)};
  });
}

std::vector<std::string> table_faults(const void* theirs, bb_freezer& out) {
  return check(BB_INTERFACE_FREEZER, theirs, freezer_size_1_0, out, [](const bb_freezer& t) {
    return std::vector<Slot>{BB_SLOT(t, create), BB_SLOT(t, destroy), BB_SLOT(t, freeze), BB_SLOT(t, exists),
                             BB_SLOT(t, remove)};
  });
}

std::vector<std::string> table_faults(const void* theirs, bb_deploy_key& out) {
  return check(BB_INTERFACE_DEPLOY_KEY, theirs, deploy_key_size_1_0, out, [](const bb_deploy_key& t) {
    return std::vector<Slot>{BB_SLOT(t, create), BB_SLOT(t, destroy), BB_SLOT(t, create_key), BB_SLOT(t, remove_key)};
  });
}

}  // namespace bot_bottle::plugins
