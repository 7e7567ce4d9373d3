// A tree out of a running bottle, as an archive of our own making: what the bottle sends is read strictly, and written
// anew with names and owners that we choose.
#pragma once

#include <cstdint>
#include <string>

#include "bot_bottle/plugin.hpp"
#include "plugins/backend-driven/guest_channel.hpp"

namespace bot_bottle::backend_apple {

struct PulledTree {
  std::string directory;  // of the bottle, absolute
  std::string as;         // the names' beginning in the archive ("home/agent"); empty: the content alone
  std::uint32_t uid = 1000;
  std::uint32_t gid = 1000;
};

/// Writes the entries to `fd`, without the archive's end: more may follow. The octets written. Throws for what is no
/// archive, for a tree that is larger than 16 GiB, and as run_in_guest does.
std::uint64_t pull_tree(const sdk::Call& call, driven::GuestChannel& channel, const PulledTree& tree, int fd);

}  // namespace bot_bottle::backend_apple
