// What the four kinds of table have in common: making and ending an instance, and finding out what a class overrides.
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>

#include "bot_bottle/sdk/host.hpp"

namespace bot_bottle::sdk::detail {

// `self` is always a Base*: a class may derive from two interfaces, and each then has instances of its own.
template <typename T, typename Base>
bb_status create_thunk(const bb_host* raw_host, const bb_call* raw, void** self) noexcept {
  return guarded(raw, [&](const Call&) {
    const Host host(raw_host);
    std::unique_ptr<T> made;
    if constexpr (std::constructible_from<T, const Host&>) {
      made = std::make_unique<T>(host);
    } else {
      static_assert(std::default_initializable<T>,
                    "a plugin's class is constructible from nothing or from const sdk::Host&");
      made = std::make_unique<T>();
    }
    static_cast<Base*>(made.get())->set_host(host);
    *self = static_cast<void*>(static_cast<Base*>(made.release()));
  });
}

template <typename Base>
void destroy_thunk(void* self) noexcept {
  const std::unique_ptr<Base> instance(static_cast<Base*>(self));
}

template <typename Base>
Base& instance(void* self) {
  return *static_cast<Base*>(self);
}

}  // namespace bot_bottle::sdk::detail

/// True when `class_name` (or a class between it and `base`) has a `function` of its own. One that is private counts as
/// such.
#define BB_SDK_OVERRIDES(class_name, base, function) \
  (!requires { requires std::is_same_v<decltype(&class_name::function), decltype(&base::function)>; })
