// The host's side of the suite: a server that keeps what it is sent, and listeners that must stay untouched.
#pragma once

#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace bot_bottle::attack {

struct OriginOptions {
  std::string log;        // JSON lines: every request, also one that was cut short
  std::string port_file;  // {"port", "plain_port", "ca_file"}, written when both ports listen
  std::string ca_file;    // default: <port_file>.ca.pem
  std::string address = "127.0.0.1";
  std::vector<std::string> names{"origin.example.com"};  // in the certificate
};
/// Serves until standard input ends.
Result<void> run_origin(const OriginOptions& options);

struct CanaryOptions {
  std::string log;
  std::string port_file;  // {"ports": [tcp], "udp_ports": [udp], "abstract": "name"}
};
Result<void> run_canary(const CanaryOptions& options);

}  // namespace bot_bottle::attack
