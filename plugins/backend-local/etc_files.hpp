// The made-up /etc of a bottle and of its sidecar.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace bot_bottle::backend_local {

struct EtcOptions {
  std::string user = "agent";
  std::uint32_t uid = 1000;
  std::uint32_t gid = 1000;
  std::string home = "/home/agent";
  std::vector<std::string> names;  // of endpoints: 127.0.0.1 in hosts
};

/// Writes the bottle's /etc into `directory` (made new): accounts, names, trust, and copies of the host's harmless
/// files. Never shadow, keys, machine-id, or anything of /etc that is not on the list. Directories in `binds` are empty
/// places for read-only binds of the host's directories of the same name.
struct EtcResult {
  std::vector<std::string> binds;  // "/etc/alternatives", …
};
Result<EtcResult> write_bottle_etc(const std::string& directory, const EtcOptions& options);
/// Adds the bottle's certification authority to what `write_bottle_etc` made. Once; before anything of the
/// agent's runs (its sandbox may exist).
Result<void> add_trusted_ca(const std::string& directory, const std::string& ca_pem);

/// The host's bundle of certification authorities; empty where it has none.
std::string system_bundle();
/// OpenSSL finds a certificate in a directory by the hash of its subject ("1a2b3c4d.0"); empty for what is none.
std::string subject_hash(const std::string& pem);

/// The sidecar's: the host's own resolver configuration, name files and trust, by copy.
Result<void> write_sidecar_etc(const std::string& directory, std::uint32_t uid, std::uint32_t gid);

}  // namespace bot_bottle::backend_local
