// The last requests that no route allowed, so that a proposal can be shown with what it would have let through.
// Hostile input: every text in it; bounded in number and size.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "core/policy/decide.hpp"

namespace bot_bottle::egress {

struct BlockedRequest {
  policy::Scheme scheme = policy::Scheme::https;
  std::string host;
  std::uint16_t port = 443;
  std::string method;  // "CONNECT": the host was refused before a path was told
  std::string target;  // normalised path, cut at 512 octets
  std::uint64_t times = 1;
};

class BlockedLog {
 public:
  /// The same one again only counts.
  void note(BlockedRequest request);
  [[nodiscard]] const std::deque<BlockedRequest>& all() const { return all_; }

 private:
  std::deque<BlockedRequest> all_;
};

}  // namespace bot_bottle::egress
