#include "sidecar/egress/blocked_log.hpp"

#include <algorithm>

namespace bot_bottle::egress {
namespace {
constexpr std::size_t kept = 128;
constexpr std::size_t longest = 512;
}  // namespace

void BlockedLog::note(BlockedRequest request) {
  if (request.target.size() > longest) request.target.resize(longest);
  if (request.method.size() > longest) request.method.resize(longest);
  const auto same = std::ranges::find_if(all_, [&](const BlockedRequest& other) {
    return other.host == request.host && other.port == request.port && other.method == request.method &&
           other.target == request.target && other.scheme == request.scheme;
  });
  if (same != all_.end()) {
    ++same->times;
    return;
  }
  if (all_.size() == kept) all_.pop_front();
  all_.push_back(std::move(request));
}

}  // namespace bot_bottle::egress
