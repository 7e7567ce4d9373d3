// Apart from the rest, so that tests with fakes need no plugin host.
#include "core/launch/backends.hpp"

namespace bot_bottle::launch {

Backends Backends::of(plugins::Registry& registry) {
  return {.names = registry.names_of("backend"),
          .get = [&registry](const std::string& name) -> plugins::Backend& { return registry.backend(name); }};
}

}  // namespace bot_bottle::launch
