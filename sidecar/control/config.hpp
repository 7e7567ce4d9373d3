// `bot-bottle.sidecar-config/1` from standard input (docs/internals.md). It carries the bottle's secrets: what is read
// here goes into locked memory, and every buffer it passed through is wiped.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/base/secret.hpp"
#include "core/policy/egress.hpp"
#include "core/policy/git_gate.hpp"
#include "core/policy/packs.hpp"
#include "core/supervise/journal.hpp"
#include "sidecar/egress/guards.hpp"
#include "sidecar/egress/secret_store.hpp"
#include "sidecar/net/address.hpp"

namespace bot_bottle::sidecar {

/// What agents may ask for, and what needs no operator. Absent: nobody listens for an agent.
struct SuperviseConfig {
  bool enabled = false;
  bool discloses = true;                   // list-capabilities answers
  bool builds_images = false;              // capability-block leads to something
  std::vector<policy::PackUse> automatic;  // `auto`
  json::object capabilities;               // what list-capabilities says besides the routes
  std::optional<net::Address> address;     // the address wire
};

struct Config {
  std::string slug;
  int log_level = 1;
  std::vector<uid_t> control_peer_uids;
  policy::Egress egress;
  egress::SecretStore secrets;
  egress::Guards guards;
  SuperviseConfig supervise;
  supervise::KillPoint kill_point;             // builds with test hooks alone
  std::optional<net::Address> egress_address;  // the address wire; without it, the socket wire
  std::optional<policy::GitGate> git_gate;     // nothing: there is no gate
  std::optional<net::Address> git_gate_address;
  std::map<std::string, SecretBytes> git_keys;  // repository → private key (OpenSSH PEM)
};

/// "192.0.2.1:9099", "[2001:db8::1]:9099".
Result<net::Address> read_address(const std::string& text);

/// Reads `fd` to its end (≤ 4 MiB). No value of a secret is in an error.
Result<Config> read_config(int fd);
/// The same from text; for tests and fuzzing.
Result<Config> parse_config(std::string_view text);

}  // namespace bot_bottle::sidecar
