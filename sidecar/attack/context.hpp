// What the suite knows of its surroundings: environment variables set by the demo or the test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace bot_bottle::attack {

struct Context {
  std::string proxy_host = "127.0.0.1";  // from HTTPS_PROXY or HTTP_PROXY
  std::uint16_t proxy_port = 9099;
  std::string ca_file;  // SSL_CERT_FILE, else the bottle's documented place

  std::string origin = "origin.example.com";  // BB_ATTACK_ORIGIN: an allowed host, served by `bottle-attack origin`
  std::string denied = "denied.example.com";  // BB_ATTACK_DENIED: a host no route names (pinned in the test, so that a
                                              // missing guard shows)
  std::string plain;     // BB_ATTACK_PLAIN: an allowed host with `plain: true`; its attempts are left out when empty
  std::string guarded;   // BB_ATTACK_GUARDED: an allowed host, only below /public/; may be empty
  std::string internal;  // BB_ATTACK_INTERNAL: allowed "host:port" that resolves to the host's loopback; may be empty
  std::string stolen;    // BB_ATTACK_STOLEN (or _STOLEN_REVERSED): a known secret of the bottle that the agent got hold
                         // of all the same
  std::vector<std::uint16_t> host_ports;      // BB_ATTACK_HOST_PORTS: TCP canaries on the host's loopback
  std::vector<std::uint16_t> host_udp_ports;  // BB_ATTACK_HOST_UDP_PORTS
  std::vector<std::string>
      host_paths;               // BB_ATTACK_HOST_PATHS: files of the host that must not be readable (':' between)
  std::string abstract_socket;  // BB_ATTACK_ABSTRACT: a canary in the host's abstract namespace
  std::string operator_name;    // BB_ATTACK_OPERATOR: the operator's account, unless it is root
  std::string secret_sha256;    // BB_ATTACK_SECRET_SHA256 and _LENGTH: the real credential, told without telling it
  std::size_t secret_length = 0;
  // What the manifest limits; an attempt of group 7 is only made when its limit is known.
  std::uint64_t pids_limit = 0, memory_limit = 0, disk_limit = 0;
  std::uint64_t flood = 10'000;  // BB_ATTACK_FLOOD: connections of one flood, fewer where each takes milliseconds

  std::vector<std::string> inherited;  // descriptors above 2 at the start: "7 -> /path"
  std::string session;                 // random, so that runs and attempts can be told apart in logs
};

/// Reads the environment. `inherited` is taken at once: nothing was opened yet.
Result<Context> load_context();

}  // namespace bot_bottle::attack
