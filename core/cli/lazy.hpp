// What Context makes at the first use. Apart from context.hpp so that verbs do not include the plugin host.
#pragma once

#include <memory>
#include <optional>

#include "core/base/paths.hpp"
#include "core/cli/context.hpp"
#include "core/plugins/registry.hpp"

namespace bot_bottle::cli {

struct Context::Lazy {
  std::optional<Home> home;
  std::optional<Installation> installation;
  std::unique_ptr<plugins::Registry> registry;
};

}  // namespace bot_bottle::cli
