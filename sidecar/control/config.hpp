// `bot-bottle.sidecar-config/1` from standard input (docs/internals.md). It carries the bottle's secrets: what is read
// here goes into locked memory, and every buffer it passed through is wiped.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/policy/egress.hpp"
#include "sidecar/egress/guards.hpp"
#include "sidecar/egress/secret_store.hpp"
#include "sidecar/net/address.hpp"

namespace bot_bottle::sidecar {

struct Config {
  std::string slug;
  int log_level = 1;
  std::vector<uid_t> control_peer_uids;
  policy::Egress egress;
  egress::SecretStore secrets;
  egress::Guards guards;
  std::optional<net::Address> egress_address;  // the address wire; without it, the socket wire
};

/// Reads `fd` to its end (≤ 4 MiB). No value of a secret is in an error.
Result<Config> read_config(int fd);
/// The same from text; for tests and fuzzing.
Result<Config> parse_config(std::string_view text);

}  // namespace bot_bottle::sidecar
