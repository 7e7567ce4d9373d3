// `bottle-init --selftest`: asks the kernel, from inside, whether the walls stand. Run as the agent would be run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sidecar/guest/forward.hpp"

namespace bot_bottle::guest {

struct SelftestOptions {
  std::vector<Endpoint> endpoints;
  std::uint64_t host_network = 0;  // inode of the host's network namespace; 0: not known
  bool expect_seccomp = true;      // false where the backend's own filter is not ours (containers have theirs)
  bool own_kernel = false;  // gVisor: the kernel that is asked serves this bottle alone, its surface is not the host's
  bool host_sockets = false;  // gVisor with --network=host: it lists the routes of its start
  std::string wire_address;   // the address wire: the sidecar's IPv4 address, the only one that may be reached
  std::string gateway;        // the address wire: what an ordinary network would have its host at
};

/// What does not hold, in words; empty when all is well. Takes a few milliseconds; changes nothing.
std::vector<std::string> run_selftest(const SelftestOptions& options);

/// {"ok":true,"failed":[]}
std::string selftest_json(const std::vector<std::string>& failed);

}  // namespace bot_bottle::guest
