#include "sidecar/supervise/sessions.hpp"

#include <algorithm>

#include "core/base/random.hpp"

namespace bot_bottle::supervise {
namespace {
constexpr std::size_t most = 64;
constexpr std::size_t id_length = 32;
}  // namespace

std::string Sessions::create(std::string version, std::uint64_t now_ms) {
  if (all_.size() >= most) {
    auto oldest = all_.end();
    for (auto it = all_.begin(); it != all_.end(); ++it)
      if (it->second.calls == 0 && it->second.streams == 0 &&
          (oldest == all_.end() || it->second.used_ms < oldest->second.used_ms))
        oldest = it;
    if (oldest == all_.end()) return {};
    all_.erase(oldest);
  }
  std::string id = random_base36(id_length);
  all_[id] = Session{.version = std::move(version), .used_ms = now_ms};
  return id;
}

Session* Sessions::find(std::string_view id) {
  const auto found = all_.find(id);
  return found == all_.end() ? nullptr : &found->second;
}

bool Sessions::end(std::string_view id) {
  const auto found = all_.find(id);
  if (found == all_.end()) return false;
  all_.erase(found);
  return true;
}

}  // namespace bot_bottle::supervise
