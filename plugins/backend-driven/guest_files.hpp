// What a bottle's root file system gets from us before anything of the agent's runs in it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bot_bottle::driven {

/// The bottle's certification authority into every place where programs look for trust (internals, launch/1): an
/// archive for `/`, with the system's bundle and a Java trust store.
std::string trust_archive(const std::string& ca_pem);

struct GuestIdentity {
  std::string user = "agent";
  std::uint32_t uid = 1000;
  std::uint32_t gid = 1000;
  std::string home;
  std::string workspace;           // empty: none
  std::vector<std::string> names;  // of endpoints: 127.0.0.1 in hosts
};

/// A script for the guest's /bin/sh as root, for tools whose machines are set up by exec: hosts and resolv.conf
/// (written through what is there, for some runtimes bind them), the agent's account where the image has none of that
/// uid, home and workspace as the agent's own (`repair`: with all that is in them, for tools that unpack everything as
/// root's). Needs nothing of the image but sh, cat, mkdir, chown, chmod and grep. Idempotent.
enum class Ownership { top_only, repair };
std::string setup_script(const GuestIdentity& identity, Ownership ownership);

}  // namespace bot_bottle::driven
