// The C++ SDK of bot-bottle's plugins, header only. Derive from sdk::Backend, AgentProvider, Freezer or
// DeployKeyProvisioner, throw sdk::Error to fail, and end the file, outside any namespace, with
//
//   BOT_BOTTLE_PLUGIN("hello", "0.1.0", "Says hello", HelloProvider)
//
// That defines bb_plugin_entry, the one symbol that is exported. Everything it points to is constant data. C++20 or
// later, Boost.JSON; link with the version script plugin.version so that nothing else leaves the library.
#pragma once

#include <concepts>
#include <cstring>

#include "bot_bottle/sdk/backend.hpp"
#include "bot_bottle/sdk/deploy_key.hpp"
#include "bot_bottle/sdk/freezer.hpp"
#include "bot_bottle/sdk/provider.hpp"

namespace bot_bottle::sdk::detail {

/// The table of T for `id`, or null when T is no such thing.
template <typename T>
const void* table_of(const char* id) noexcept {
  static_assert(std::derived_from<T, Backend> || std::derived_from<T, AgentProvider> || std::derived_from<T, Freezer> ||
                    std::derived_from<T, DeployKeyProvisioner>,
                "derive from sdk::Backend, sdk::AgentProvider, sdk::Freezer or sdk::DeployKeyProvisioner");
  if constexpr (std::derived_from<T, Backend>) {
    if (std::strcmp(id, BB_INTERFACE_BACKEND) == 0) return &backend_table<T>;
  }
  if constexpr (std::derived_from<T, AgentProvider>) {
    if (std::strcmp(id, BB_INTERFACE_PROVIDER) == 0) return &provider_table<T>;
  }
  if constexpr (std::derived_from<T, Freezer>) {
    if (std::strcmp(id, BB_INTERFACE_FREEZER) == 0) return &freezer_table<T>;
  }
  if constexpr (std::derived_from<T, DeployKeyProvisioner>) {
    if (std::strcmp(id, BB_INTERFACE_DEPLOY_KEY) == 0) return &deploy_key_table<T>;
  }
  return nullptr;
}

inline bb_status init_thunk(const bb_host*) noexcept {
  return BB_OK;
}

template <typename... Interfaces>
const void* get_interface_thunk(const char* id) noexcept {
  const void* found = nullptr;
  if (id != nullptr) static_cast<void>((((found = table_of<Interfaces>(id)) != nullptr) || ...));
  return found;
}

template <typename... Interfaces>
constexpr bb_plugin make_entry(const char* name, const char* version, const char* description) {
  static_assert(sizeof...(Interfaces) > 0, "name at least one class after the description");
  return bb_plugin{sizeof(bb_plugin), BB_ABI_MAJOR, BB_ABI_MINOR, 0,       name,
                   version,           description,  init_thunk,   nullptr, get_interface_thunk<Interfaces...>};
}

}  // namespace bot_bottle::sdk::detail

/// BOT_BOTTLE_PLUGIN(name, version, description, classes…): once per library, at the end, outside any namespace. The
/// name is the one in plugin.toml.
#define BOT_BOTTLE_PLUGIN(name, version, description, ...) \
  constinit const bb_plugin bb_plugin_entry =              \
      ::bot_bottle::sdk::detail::make_entry<__VA_ARGS__>(name, version, description);
