// Apart from the rest, so that tests with fakes need no plugin host.
#include <algorithm>

#include "core/launch/backends.hpp"

namespace bot_bottle::launch {

Backends Backends::of(plugins::Registry& registry) {
  return {.names = registry.names_of("backend"),
          .get = [&registry](const std::string& name) -> plugins::Backend& { return registry.backend(name); },
          .find_freezer = [&registry](const std::string& name) -> plugins::Freezer* {
            const std::vector<std::string> freezers = registry.names_of("freezer");
            return std::ranges::find(freezers, name) == freezers.end() ? nullptr : &registry.freezer(name);
          },
          .set_cancel_fd = [&registry](int fd) { registry.options().cancel_fd = fd; }};
}

}  // namespace bot_bottle::launch
