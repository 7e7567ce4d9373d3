// What the operator sees of a long copy: how much, and how fast. Shared by the copies of both backends.
#pragma once

#include <bot_bottle/plugin.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "core/base/clock.hpp"

namespace bot_bottle::backend_local {

/// "copying the workspace: 1.2 GiB, 310.0 MiB/s, 1204 entries", from now on. `call` is borrowed.
inline std::function<void(std::uint64_t entries, std::uint64_t bytes)> copy_report(const sdk::Call& call,
                                                                                   std::string what) {
  return [&call, what = std::move(what), began = std::chrono::steady_clock::now()](std::uint64_t entries,
                                                                                   std::uint64_t bytes) {
    const auto elapsed =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count();
    call.progress(what + ": " + format_transfer(entries, bytes, elapsed));
  };
}

}  // namespace bot_bottle::backend_local
